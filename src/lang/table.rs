//! The rows. To add a language, add a row; the tests of this room and of the highlighter check it.

use super::{Language, PLAIN, Syntax, TestStyle, Unit};

type Comment = Option<(&'static str, &'static str)>;

const SLASHES: Comment = Some(("//", ""));
const HASH: Comment = Some(("#", ""));
const DASHES: Comment = Some(("--", ""));
const SEMICOLONS: Comment = Some((";;", ""));
const PERCENT: Comment = Some(("%", ""));
const ANGLES: Comment = Some(("<!--", "-->"));
const STARS: Comment = Some(("/*", "*/"));
const TWO: Unit = Unit::Spaces(2);

/// Languages of the web's scripts, of the Java machine, and those that share C's headers.
const WEB: &str = "web";
const JVM: &str = "jvm";
const C: &str = "c";

const SCRIPT: Language = Language {
    comment: SLASHES,
    unit: TWO,
    syntax: Syntax::JavaScript,
    checked: Some(Syntax::JavaScript),
    tests: Some(TestStyle::Script),
    family: WEB,
    imports: &["import "],
    declares: &["function ", "class ", "interface ", "type ", "enum "],
    ..PLAIN
};
const TYPED_SCRIPT: Language = Language { syntax: Syntax::TypeScript, checked: Some(Syntax::TypeScript), ..SCRIPT };
const C_LIKE: Language = Language {
    comment: SLASHES,
    syntax: Syntax::Cpp,
    checked: Some(Syntax::Cpp),
    tests: Some(TestStyle::C),
    family: C,
    imports: &["#include", "using "],
    declares: &["class ", "struct ", "enum ", "namespace ", "template"],
    ..PLAIN
};

/// In the order in which they are looked for; of those that share a [`Syntax`] the first stands for it.
pub(crate) const LANGUAGES: &[Language] = &[
    Language {
        name: "Rust",
        extensions: &["rs"],
        comment: SLASHES,
        grammar: "rs",
        syntax: Syntax::Rust,
        checked: Some(Syntax::Rust),
        tests: Some(TestStyle::Rust),
        corpus: &["rs"],
        imports: &["use ", "pub use ", "extern crate "],
        declares: &["fn ", "struct ", "enum ", "trait ", "impl", "type ", "mod ", "const fn "],
        ..PLAIN
    },
    Language {
        name: "Python",
        words: &["python3", "pycon", "ipython"],
        extensions: &["py", "pyi", "pyw", "pyx"],
        interpreters: &["python", "pypy"],
        comment: HASH,
        opens: &[":"],
        grammar: "py",
        syntax: Syntax::Python,
        checked: Some(Syntax::Python),
        tests: Some(TestStyle::Python),
        corpus: &["py"],
        imports: &["import ", "from "],
        declares: &["def ", "class "],
        ..PLAIN
    },
    Language {
        name: "JavaScript",
        words: &["node"],
        extensions: &["js", "mjs", "cjs"],
        interpreters: &["node", "deno", "bun"],
        grammar: "js",
        corpus: &["js", "mjs"],
        ..SCRIPT
    },
    Language {
        name: "JSX",
        words: &["javascriptreact"],
        extensions: &["jsx"],
        grammar: "js",
        corpus: &["jsx"],
        ..SCRIPT
    },
    Language { name: "TypeScript", extensions: &["ts", "mts", "cts"], grammar: "ts", corpus: &["ts"], ..TYPED_SCRIPT },
    Language {
        name: "TSX",
        words: &["typescriptreact"],
        extensions: &["tsx"],
        grammar: "tsx",
        corpus: &["tsx"],
        ..TYPED_SCRIPT
    },
    Language {
        name: "C++",
        extensions: &["cpp", "cc", "cxx", "hpp", "hh", "hxx", "ipp", "ino"],
        grammar: "cpp",
        corpus: &["cc", "cpp", "hpp"],
        ..C_LIKE
    },
    Language { name: "C", extensions: &["c", "h"], grammar: "c", corpus: &["c", "h"], ..C_LIKE },
    Language {
        name: "Go",
        words: &["golang"],
        extensions: &["go"],
        comment: SLASHES,
        unit: Unit::Tab,
        grammar: "go",
        syntax: Syntax::Go,
        checked: Some(Syntax::Go),
        tests: Some(TestStyle::Go),
        corpus: &["go"],
        imports: &["import ", "package "],
        declares: &["func ", "type "],
        ..PLAIN
    },
    Language {
        name: "Java",
        extensions: &["java"],
        comment: SLASHES,
        grammar: "java",
        syntax: Syntax::Java,
        checked: Some(Syntax::Java),
        tests: Some(TestStyle::Classes),
        family: JVM,
        corpus: &["java"],
        imports: &["import ", "package "],
        declares: &["class ", "interface ", "enum ", "record "],
        ..PLAIN
    },
    Language {
        name: "Bash",
        words: &["shell", "console", "shellsession", "terminal", "termux"],
        extensions: &["sh", "bash", "zsh"],
        files: &[".bashrc", ".profile", ".bash_profile", ".bash_aliases", "PKGBUILD"],
        interpreters: &["sh", "bash", "dash", "ksh", "zsh"],
        comment: HASH,
        opens: &["then", "do", "else"],
        grammar: "bash",
        syntax: Syntax::Bash,
        typed: true,
        corpus: &["sh", "bash"],
        imports: &["source ", ". "],
        declares: &["function "],
        ..PLAIN
    },
    Language {
        name: "C#",
        words: &["csharp"],
        extensions: &["cs"],
        comment: SLASHES,
        grammar: "C#",
        tests: Some(TestStyle::Classes),
        ..PLAIN
    },
    Language {
        name: "Kotlin",
        extensions: &["kt", "kts"],
        comment: SLASHES,
        grammar: "kt",
        tests: Some(TestStyle::Classes),
        family: JVM,
        corpus: &["kt"],
        ..PLAIN
    },
    Language {
        name: "Swift",
        extensions: &["swift"],
        comment: SLASHES,
        grammar: "swift",
        tests: Some(TestStyle::Classes),
        corpus: &["swift"],
        ..PLAIN
    },
    Language {
        name: "Scala",
        extensions: &["scala", "sbt"],
        comment: SLASHES,
        unit: TWO,
        grammar: "scala",
        tests: Some(TestStyle::Classes),
        family: JVM,
        corpus: &["scala"],
        ..PLAIN
    },
    Language {
        name: "Groovy",
        extensions: &["groovy", "gradle"],
        files: &["Jenkinsfile"],
        comment: SLASHES,
        grammar: "groovy",
        tests: Some(TestStyle::Classes),
        family: JVM,
        ..PLAIN
    },
    Language {
        name: "Dart",
        extensions: &["dart"],
        comment: SLASHES,
        unit: TWO,
        grammar: "dart",
        tests: Some(TestStyle::Classes),
        ..PLAIN
    },
    Language {
        name: "PHP",
        extensions: &["php"],
        interpreters: &["php"],
        comment: SLASHES,
        grammar: "php",
        tests: Some(TestStyle::Classes),
        ..PLAIN
    },
    Language {
        name: "F#",
        words: &["fsharp"],
        extensions: &["fs", "fsx"],
        comment: SLASHES,
        tests: Some(TestStyle::Classes),
        grammar: "F#",
        ..PLAIN
    },
    Language {
        name: "Objective-C",
        words: &["objc", "objectivec"],
        extensions: &["m", "mm"],
        comment: SLASHES,
        grammar: "objective-c",
        tests: Some(TestStyle::C),
        family: C,
        ..PLAIN
    },
    Language {
        name: "Zig",
        extensions: &["zig"],
        comment: SLASHES,
        grammar: "zig",
        tests: Some(TestStyle::C),
        ..PLAIN
    },
    Language { name: "D", extensions: &["d"], comment: SLASHES, grammar: "d", tests: Some(TestStyle::C), ..PLAIN },
    Language { name: "CUDA", extensions: &["cu"], comment: SLASHES, grammar: "cpp", ..PLAIN },
    Language {
        name: "Ruby",
        extensions: &["rb", "gemspec"],
        files: &["Gemfile", "Rakefile", "Vagrantfile"],
        interpreters: &["ruby"],
        comment: HASH,
        unit: TWO,
        opens: &["do", "then", "else"],
        grammar: "rb",
        tests: Some(TestStyle::Words),
        corpus: &["rb"],
        ..PLAIN
    },
    Language {
        name: "Crystal",
        extensions: &["cr"],
        comment: HASH,
        unit: TWO,
        tests: Some(TestStyle::Words),
        grammar: "cr",
        ..PLAIN
    },
    Language {
        name: "Elixir",
        extensions: &["ex", "exs"],
        interpreters: &["elixir"],
        comment: HASH,
        unit: TWO,
        opens: &["do", "->", "else"],
        grammar: "ex",
        tests: Some(TestStyle::Words),
        ..PLAIN
    },
    Language {
        name: "Julia",
        extensions: &["jl"],
        interpreters: &["julia"],
        comment: HASH,
        grammar: "jl",
        tests: Some(TestStyle::Words),
        ..PLAIN
    },
    Language {
        name: "Lua",
        extensions: &["lua"],
        interpreters: &["lua"],
        comment: DASHES,
        unit: TWO,
        opens: &["then", "do", "else"],
        grammar: "lua",
        tests: Some(TestStyle::Words),
        corpus: &["lua"],
        ..PLAIN
    },
    Language {
        name: "Perl",
        extensions: &["pl", "pm"],
        interpreters: &["perl"],
        comment: HASH,
        grammar: "Perl",
        ..PLAIN
    },
    Language {
        name: "Haskell",
        extensions: &["hs"],
        comment: DASHES,
        unit: TWO,
        opens: &["where", "do", "of"],
        grammar: "hs",
        ..PLAIN
    },
    Language {
        name: "SQL",
        words: &["mysql", "postgresql", "sqlite", "plsql"],
        extensions: &["sql"],
        comment: DASHES,
        unit: TWO,
        grammar: "sql",
        ..PLAIN
    },
    Language {
        name: "Clojure",
        extensions: &["clj", "cljs", "edn"],
        comment: SEMICOLONS,
        unit: TWO,
        grammar: "clj",
        ..PLAIN
    },
    Language {
        name: "Lisp",
        words: &["scheme", "elisp"],
        extensions: &["lisp", "el", "scm"],
        comment: SEMICOLONS,
        unit: TWO,
        grammar: "lisp",
        ..PLAIN
    },
    Language { name: "Racket", extensions: &["rkt"], comment: SEMICOLONS, unit: TWO, grammar: "rkt", ..PLAIN },
    Language {
        name: "R",
        extensions: &["r"],
        interpreters: &["Rscript"],
        comment: HASH,
        unit: TWO,
        grammar: "r",
        ..PLAIN
    },
    Language { name: "MATLAB", words: &["octave"], comment: PERCENT, grammar: "matlab", ..PLAIN },
    Language {
        name: "OCaml",
        extensions: &["ml", "mli"],
        comment: Some(("(*", "*)")),
        unit: TWO,
        grammar: "OCaml",
        ..PLAIN
    },
    Language { name: "Erlang", extensions: &["erl", "hrl"], comment: PERCENT, grammar: "erl", ..PLAIN },
    Language { name: "Elm", extensions: &["elm"], comment: DASHES, grammar: "elm", ..PLAIN },
    Language {
        name: "Nim",
        extensions: &["nim"],
        comment: HASH,
        unit: TWO,
        opens: &[":", "="],
        grammar: "nim",
        ..PLAIN
    },
    Language { name: "Nix", extensions: &["nix"], comment: HASH, unit: TWO, grammar: "nix", ..PLAIN },
    Language { name: "Pascal", extensions: &["pas"], comment: SLASHES, unit: TWO, grammar: "pas", ..PLAIN },
    Language { name: "Ada", extensions: &["adb", "ads", "ada"], comment: DASHES, grammar: "adb", ..PLAIN },
    Language { name: "Fortran", extensions: &["f90"], comment: Some(("!", "")), unit: TWO, grammar: "f90", ..PLAIN },
    Language {
        name: "Assembly",
        words: &["assembler"],
        extensions: &["asm", "s"],
        comment: HASH,
        grammar: "asm",
        ..PLAIN
    },
    Language { name: "WebAssembly", words: &["wasm"], extensions: &["wat"], comment: SEMICOLONS, unit: TWO, ..PLAIN },
    Language { name: "GLSL", extensions: &["glsl"], comment: SLASHES, grammar: "GLSL", ..PLAIN },
    Language { name: "Solidity", extensions: &["sol"], comment: SLASHES, grammar: "sol", ..PLAIN },
    Language { name: "Verilog", extensions: &["v"], comment: SLASHES, unit: TWO, grammar: "Verilog", ..PLAIN },
    Language { name: "SystemVerilog", extensions: &["sv"], comment: SLASHES, unit: TWO, grammar: "sv", ..PLAIN },
    Language { name: "VHDL", extensions: &["vhd", "vhdl"], comment: DASHES, unit: TWO, ..PLAIN },
    Language { name: "Visual Basic", words: &["vbnet"], extensions: &["vb"], comment: Some(("'", "")), ..PLAIN },
    Language {
        name: "CoffeeScript",
        extensions: &["coffee"],
        comment: HASH,
        unit: TWO,
        tests: Some(TestStyle::Script),
        grammar: "coffee",
        ..PLAIN
    },
    Language { name: "GDScript", extensions: &["gd"], comment: HASH, unit: Unit::Tab, opens: &[":"], ..PLAIN },
    Language {
        name: "AWK",
        extensions: &["awk"],
        interpreters: &["awk", "gawk"],
        comment: HASH,
        grammar: "awk",
        ..PLAIN
    },
    Language { name: "Tcl", extensions: &["tcl"], interpreters: &["tclsh"], comment: HASH, grammar: "tcl", ..PLAIN },
    Language {
        name: "Vim script",
        words: &["viml"],
        extensions: &["vim"],
        comment: Some(("\"", "")),
        unit: TWO,
        grammar: "VimL",
        ..PLAIN
    },
    Language {
        name: "fish",
        extensions: &["fish"],
        interpreters: &["fish"],
        comment: HASH,
        grammar: "fish",
        typed: true,
        ..PLAIN
    },
    Language { name: "Nushell", extensions: &["nu"], comment: HASH, ..PLAIN },
    Language {
        name: "Batch",
        words: &["batchfile"],
        extensions: &["bat", "cmd"],
        comment: Some(("rem", "")),
        grammar: "bat",
        typed: true,
        ..PLAIN
    },
    Language { name: "PowerShell", words: &["pwsh"], extensions: &["ps1"], comment: HASH, typed: true, ..PLAIN },
    Language {
        name: "YAML",
        extensions: &["yaml", "yml"],
        comment: HASH,
        unit: TWO,
        opens: &[":"],
        grammar: "yaml",
        ..PLAIN
    },
    Language {
        name: "TOML",
        extensions: &["toml"],
        files: &["Cargo.lock"],
        comment: HASH,
        unit: TWO,
        grammar: "toml",
        tests: Some(TestStyle::Sections),
        ..PLAIN
    },
    Language {
        name: "JSON",
        words: &["json5"],
        extensions: &["json", "jsonl", "jsonc", "ipynb"],
        unit: TWO,
        grammar: "json",
        checked: Some(Syntax::JavaScript),
        ..PLAIN
    },
    Language {
        name: "INI",
        extensions: &["ini", "cfg", "conf", "properties", "env"],
        files: &[".gitconfig"],
        comment: HASH,
        unit: TWO,
        grammar: "INI",
        tests: Some(TestStyle::Sections),
        ..PLAIN
    },
    Language {
        name: "Makefile",
        words: &["make"],
        extensions: &["mk"],
        files: &["Makefile", "makefile", "GNUmakefile"],
        comment: HASH,
        unit: Unit::Tab,
        grammar: "makefile",
        tests: Some(TestStyle::Makefile),
        ..PLAIN
    },
    Language {
        name: "Just",
        files: &["Justfile", "justfile"],
        comment: HASH,
        tests: Some(TestStyle::Makefile),
        ..PLAIN
    },
    Language {
        name: "Dockerfile",
        words: &["docker"],
        extensions: &["dockerfile"],
        files: &["Dockerfile", "Containerfile"],
        comment: HASH,
        grammar: "Dockerfile",
        ..PLAIN
    },
    Language {
        name: "CMake",
        extensions: &["cmake"],
        files: &["CMakeLists.txt"],
        comment: HASH,
        unit: TWO,
        grammar: "cmake",
        ..PLAIN
    },
    Language {
        name: "Git ignore",
        words: &["gitignore"],
        files: &[".gitignore", ".dockerignore"],
        comment: HASH,
        unit: TWO,
        grammar: "gitignore",
        ..PLAIN
    },
    Language { name: "Terraform", extensions: &["tf", "hcl"], comment: HASH, unit: TWO, grammar: "tf", ..PLAIN },
    Language { name: "Protobuf", extensions: &["proto"], comment: SLASHES, unit: TWO, grammar: "proto", ..PLAIN },
    Language { name: "GraphQL", extensions: &["graphql"], comment: HASH, unit: TWO, grammar: "graphql", ..PLAIN },
    Language { name: "Go module", extensions: &["mod", "sum"], comment: SLASHES, unit: Unit::Tab, ..PLAIN },
    Language {
        name: "HTML",
        extensions: &["html", "htm", "xhtml"],
        comment: ANGLES,
        unit: TWO,
        grammar: "HTML",
        ..PLAIN
    },
    Language {
        name: "Vue",
        extensions: &["vue"],
        comment: ANGLES,
        unit: TWO,
        grammar: "vue",
        tests: Some(TestStyle::Script),
        family: WEB,
        ..PLAIN
    },
    Language {
        name: "Svelte",
        extensions: &["svelte"],
        comment: ANGLES,
        unit: TWO,
        grammar: "svelte",
        tests: Some(TestStyle::Script),
        family: WEB,
        ..PLAIN
    },
    Language { name: "Astro", extensions: &["astro"], comment: ANGLES, unit: TWO, ..PLAIN },
    Language { name: "Pug", extensions: &["pug"], comment: SLASHES, unit: TWO, ..PLAIN },
    Language { name: "QML", extensions: &["qml"], comment: SLASHES, grammar: "qml", ..PLAIN },
    Language {
        name: "XML",
        extensions: &["xml", "svg", "xsd", "xsl", "csproj"],
        comment: ANGLES,
        unit: TWO,
        grammar: "xml",
        ..PLAIN
    },
    Language { name: "CSS", extensions: &["css"], comment: STARS, unit: TWO, grammar: "css", ..PLAIN },
    Language { name: "SCSS", extensions: &["scss"], comment: STARS, unit: TWO, grammar: "scss", ..PLAIN },
    Language { name: "Sass", extensions: &["sass"], comment: STARS, unit: TWO, grammar: "sass", ..PLAIN },
    Language { name: "Less", extensions: &["less"], comment: STARS, unit: TWO, grammar: "less", ..PLAIN },
    Language {
        name: "Markdown",
        extensions: &["md", "markdown", "mdx", "mkd", "qmd", "rmd"],
        comment: ANGLES,
        unit: TWO,
        grammar: "Markdown",
        prose: true,
        fences: true,
        corpus: &["md"],
        ..PLAIN
    },
    Language { name: "reStructuredText", extensions: &["rst"], prose: true, fences: true, grammar: "rst", ..PLAIN },
    Language {
        name: "AsciiDoc",
        extensions: &["adoc"],
        comment: SLASHES,
        prose: true,
        fences: true,
        grammar: "adoc",
        ..PLAIN
    },
    Language { name: "Org", extensions: &["org"], comment: HASH, unit: TWO, prose: true, grammar: "org", ..PLAIN },
    Language {
        name: "LaTeX",
        extensions: &["tex", "sty"],
        comment: PERCENT,
        unit: TWO,
        grammar: "tex",
        prose: true,
        ..PLAIN
    },
    Language { name: "Diff", extensions: &["diff", "patch"], unit: TWO, grammar: "diff", prose: true, ..PLAIN },
    Language {
        name: "text",
        words: &["plain", "plaintext", "output", "log", "traceback"],
        extensions: &["txt"],
        files: &["LICENSE", "Procfile"],
        prose: true,
        typed: true,
        ..PLAIN
    },
    Language { name: "CSV", extensions: &["csv"], grammar: "csv", ..PLAIN },
    Language { name: "subtitles", extensions: &["srt"], ..PLAIN },
    Language { name: "solution", extensions: &["sln"], ..PLAIN },
    Language { name: "lock file", extensions: &["lock"], ..PLAIN },
];
