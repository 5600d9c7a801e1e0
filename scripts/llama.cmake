# Read by CMake when it configures llama.cpp (.cargo/config.toml names it, so every build does).
#
# 1. llama.cpp's `common` library is not built: nothing here uses it, and it is half of the files.
# 2. AMX is left out where the compiler would make a program that crashes: GCC 12 tells its optimiser of 8 of the 64 bytes
#    that `_tile_loadconfig` reads, so the tile configuration is optimised away (llama.cpp #20824). Whether this compiler
#    does so is seen in what it makes of a function that writes the last of them.
include_guard(GLOBAL)

set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)

# `native`; tests name a processor that this machine need not be.
if(NOT DEFINED ZORD_PROBE_ARCH)
  set(ZORD_PROBE_ARCH native)
endif()
set(zord_probe ${CMAKE_BINARY_DIR}/zord-amx)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND NOT MSVC)
  set(zord_compile ${CMAKE_CXX_COMPILER} ${CMAKE_CXX_COMPILER_ARG1} -march=${ZORD_PROBE_ARCH} -O3)
  file(WRITE ${zord_probe}.cpp [[
#include <immintrin.h>
#ifdef __AMX_TILE__
extern "C" void probe(unsigned char last) {
  alignas(64) unsigned char config[64] = {1};
  config[63] = last;
  _tile_loadconfig(config);
}
#endif
]])
  execute_process(COMMAND ${zord_compile} -S -o ${zord_probe}.s ${zord_probe}.cpp RESULT_VARIABLE zord_failed ERROR_QUIET)
  if(NOT zord_failed)
    file(READ ${zord_probe}.s zord_assembly)
    # the argument stands in %edi; a compiler that drops the write never reads it
    if(zord_assembly MATCHES "ldtilecfg" AND NOT zord_assembly MATCHES "%(dil|edi|rdi)")
      add_compile_options(-mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
      set(zord_why "AMX is left out: ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} compiles it wrongly (a newer GCC, or clang, does not)")
      file(WRITE ${zord_probe}.txt "${zord_why}\n")
      message(WARNING "${zord_why}")
    endif()
  endif()
endif()
