"""Writes expected.json: what Python's Jinja2 makes of the templates beside this file, set up as Hugging Face's
transformers does it. Needs `pip install jinja2`; run it when a template or a conversation here changes."""

import json
import pathlib
import datetime
import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).parent
NOW = 1_795_256_045


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_same"), [], [], body).set_lineno(line)

    def _same(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(pattern):
    return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(pattern)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = refuse
environment.globals["strftime_now"] = strftime_now

SYSTEM = ("system", "You are <terse> & \"exact\".")
ASK = ("user", "  Write `fn main()`\n\n```rust\nfn a() {}\n```\n")
ANSWER = ("assistant", "Here:\n\n```rust\nfn main() {}\n```")
AGAIN = ("user", "Und auf Chinesisch? 谢谢 😀")
CONVERSATIONS = {
    "one": [ASK],
    "system": [SYSTEM, ASK],
    "three": [ASK, ANSWER, AGAIN],
    "four": [SYSTEM, ASK, ANSWER, AGAIN],
    "answered": [SYSTEM, ASK, ANSWER],
    "twice": [ASK, AGAIN],
    "dropped": [SYSTEM, ANSWER, AGAIN],
    "empty": [("user", "")],
    "spaces": [("user", " \n a"), ("assistant", "\n\nb \n"), ("user", "</think>{{ x }}")],
}

cases = []
for path in sorted(HERE.glob("*.jinja")):
    template = environment.from_string(path.read_text())
    for name, turns in CONVERSATIONS.items():
        for ask in (True, False):
            content = (lambda text: [{"type": "text", "text": text}]) if path.stem == "typed" else (lambda text: text)
            messages = [{"role": role, "content": content(text)} for role, text in turns]
            try:
                text = template.render(
                    messages=messages, tools=None, documents=None, add_generation_prompt=ask,
                    bos_token="<s>", eos_token="</s>",
                )
            except jinja2.exceptions.TemplateError:
                text = None
            cases.append({"template": path.stem, "turns": turns, "ask": ask, "expected": text})
(HERE / "expected.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")
print(len(cases), "cases,", sum(case["expected"] is None for case in cases), "refused")
