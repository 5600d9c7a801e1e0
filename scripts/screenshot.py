#!/usr/bin/env python3
"""Draws a terminal's content as a PNG, for the README.

usage: tmux capture-pane -e -p -N -t TARGET | screenshot.py OUT.png [--columns N] [--light]

Reads lines with colours (SGR sequences) on stdin. Needs Pillow and DejaVu Sans Mono; a font for Chinese characters is
used where there is one (Debian: fonts-dejavu-core fonts-wqy-zenhei, python3-pil).
"""

import argparse
import os
import re
import sys
import unicodedata

try:
    from PIL import Image, ImageDraw, ImageFont
except ImportError:
    sys.exit("error: Pillow is not installed\n\nhint: pip install pillow")

FOLDERS = ["/usr/share/fonts", "/usr/local/share/fonts", os.path.expanduser("~/.local/share/fonts"), "/data/data/com.termux/files/usr/share/fonts"]
WIDE_FONTS = ["wqy-zenhei.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf"]
SIZE, PADDING, SCALE = 15, 14, 2

DARK = {"ground": "#1a1b26", "text": "#c0caf5"}
LIGHT = {"ground": "#fbfbfd", "text": "#2a2f45"}
SIXTEEN = {
    True: "#1d202f #f7768e #9ece6a #e0af68 #7aa2f7 #bb9af7 #7dcfff #a9b1d6 #565f89 #ff899d #b2e47c #f0c27c #8db0ff #c8acff #a4daff #ffffff",
    False: "#1d202f #b3153a #3f6d14 #8a5a00 #2e5cb8 #7a2fb0 #00657f #6a7084 #565f89 #c4264a #4c7f1c #9c6800 #3b6dd0 #8b40c2 #007894 #ffffff",
}

# A box-drawing character's arms: left, right, up, down (1 light, 2 heavy).
ARMS = {
    "─": (1, 1, 0, 0), "━": (2, 2, 0, 0), "│": (0, 0, 1, 1), "┃": (0, 0, 2, 2), "┌": (0, 1, 0, 1), "┐": (1, 0, 0, 1),
    "└": (0, 1, 1, 0), "┘": (1, 0, 1, 0), "├": (0, 1, 1, 1), "┤": (1, 0, 1, 1), "┬": (1, 1, 0, 1), "┴": (1, 1, 1, 0),
    "┼": (1, 1, 1, 1), "╭": (0, 1, 0, 1), "╮": (1, 0, 0, 1), "╰": (0, 1, 1, 0), "╯": (1, 0, 1, 0), "╴": (1, 0, 0, 0),
    "╵": (0, 0, 1, 0), "╶": (0, 1, 0, 0), "╷": (0, 0, 0, 1),
}  # fmt: skip


def find_font(names):
    for folder in FOLDERS:
        for where, _, files in os.walk(folder):
            for name in names:
                if name in files:
                    return os.path.join(where, name)
    return None


def columns_of(char):
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Pen:
    """What SGR sequences say."""

    def __init__(self, sixteen):
        self.sixteen = sixteen
        self.reset()

    def reset(self):
        self.fg = self.bg = None
        self.flags = set()

    def indexed(self, index):
        if index < 16:
            return self.sixteen[index]
        if index >= 232:
            level = 8 + 10 * (index - 232)
            return f"#{level:02x}{level:02x}{level:02x}"
        steps = [0, 95, 135, 175, 215, 255]
        index -= 16
        return "#{:02x}{:02x}{:02x}".format(steps[index // 36], steps[index // 6 % 6], steps[index % 6])

    def colour(self, codes):
        kind = next(codes, 0)
        if kind == 5:
            return self.indexed(min(next(codes, 0), 255))
        if kind == 2:
            return "#{:02x}{:02x}{:02x}".format(*(min(next(codes, 0), 255) for _ in range(3)))
        return None

    def apply(self, text):
        codes = iter([int(code or 0) for code in re.split("[;:]", text)])
        names = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
        ends = {22: {"bold", "dim"}, 23: {"italic"}, 24: {"underline"}, 27: {"reverse"}, 29: {"strike"}}
        for code in codes:
            if code == 0:
                self.reset()
            elif code in names:
                self.flags.add(names[code])
            elif code in ends:
                self.flags -= ends[code]
            elif code == 38:
                self.fg = self.colour(codes)
            elif code == 48:
                self.bg = self.colour(codes)
            elif code == 39:
                self.fg = None
            elif code == 49:
                self.bg = None
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.fg = self.sixteen[code - 30 if code < 40 else code - 82]
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.bg = self.sixteen[code - 40 if code < 50 else code - 92]

    def colours(self, look):
        fg, bg = self.fg or look["text"], self.bg or look["ground"]
        if "reverse" in self.flags:
            fg, bg = bg, fg
        if "dim" in self.flags:
            fg = mix(fg, bg)
        return fg, bg


def mix(one, other):
    pair = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (one, other)]
    return "#" + "".join(f"{(2 * a + b) // 3:02x}" for a, b in zip(*pair))


def cells(line, pen):
    """(column, text, columns, fg, bg, flags) of each character; marks stay with their base."""
    out, column = [], 0
    for part in re.finditer(r"\x1b\[([0-9;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[^@-~]*[@-~]|\x1b.|[\x0e\x0f]|(.)", line):
        sgr, char = part.group(1), part.group(2)
        if sgr is not None:
            pen.apply(sgr)
        elif char:
            width = columns_of(char)
            if width == 0 and out:
                out[-1][1] += char
            elif width:
                out.append([column, char, width, pen.fg, pen.bg, frozenset(pen.flags)])
                column += width
    return out


def draw_arms(draw, box, arms, colour):
    left, top, right, bottom = box
    x, y = (left + right) // 2, (top + bottom) // 2
    for arm, (x0, y0, x1, y1) in zip(arms, [(left, y, x, y), (x, y, right, y), (x, top, x, y), (x, y, x, bottom)]):
        if arm:
            draw.line((x0, y0, x1, y1), fill=colour, width=SCALE * arm)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--columns", type=int, default=0)
    parser.add_argument("--light", action="store_true")
    options = parser.parse_args()
    plain = find_font(["DejaVuSansMono.ttf"])
    if not plain:
        sys.exit("error: DejaVu Sans Mono is not installed\n\nhint: apt-get install fonts-dejavu-core")
    size = SIZE * SCALE
    fonts = {"": ImageFont.truetype(plain, size)}
    fonts["bold"] = ImageFont.truetype(find_font(["DejaVuSansMono-Bold.ttf"]) or plain, size)
    wide = find_font(WIDE_FONTS)
    fonts["wide"] = ImageFont.truetype(wide, size) if wide else fonts[""]

    look = LIGHT if options.light else DARK
    sixteen = SIXTEEN[not options.light].split()
    pen = Pen(sixteen)
    lines = [cells(line, pen) for line in sys.stdin.buffer.read().decode("utf-8", "replace").splitlines()]
    columns = options.columns or max((cell[0] + cell[2] for line in lines for cell in line), default=1)
    width = round(fonts[""].getlength("M"))
    ascent, descent = fonts[""].getmetrics()
    height = ascent + descent
    pad = PADDING * SCALE
    image = Image.new("RGB", (columns * width + 2 * pad, len(lines) * height + 2 * pad), look["ground"])
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        for column, text, span, fg, bg, flags in line:
            pen.fg, pen.bg, pen.flags = fg, bg, flags
            ink, ground = pen.colours(look)
            x, y = pad + column * width, pad + row * height
            box = (x, y, x + span * width, y + height)
            if ground != look["ground"]:
                draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=ground)
            if text in ARMS:
                draw_arms(draw, box, ARMS[text], ink)
            elif text != " ":
                font = fonts["wide" if span == 2 else "bold" if "bold" in flags else ""]
                draw.text((x, y + ascent), text, font=font, fill=ink, anchor="ls")
            for name, at in (("underline", ascent + 2 * SCALE), ("strike", height // 2)):
                if name in flags:
                    draw.line((x, y + at, box[2] - 1, y + at), fill=ink, width=SCALE)
    image.quantize(64, dither=Image.Dither.NONE).save(options.out, optimize=True)
    print(f"{options.out}: {image.width}x{image.height}, {os.path.getsize(options.out) // 1000} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
