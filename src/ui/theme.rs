//! Colours by what they mean. A theme is decided once, from the configuration and the environment, and passed to
//! whatever draws; nothing outside this file names a colour.
//!
//! Three looks (dark, light, plain) in three depths (none, the terminal's own 16, truecolor). What it refuses to do: ask
//! the terminal (an answer that comes late would be typed into the input), or carry meaning by colour alone: every style
//! that matters differs in a modifier or in the text as well, so that plain works.

use ratatui::style::{Color, Modifier, Style};

use crate::config::ThemeChoice;

/// The ground the text stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Modifiers only.
    None,
    /// The terminal's own sixteen.
    Sixteen,
    /// 24 bits.
    True,
}

/// What the environment says about colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// The ground, as far as it is known.
    pub ground: Ground,
    /// The depth.
    pub depth: Depth,
}

impl Ability {
    /// From `NO_COLOR`, `TERM`, `COLORTERM` and `COLORFGBG`, read through `get`.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let depth = if set("NO_COLOR").is_some() || set("TERM").is_some_and(|term| term == "dumb") {
            Depth::None
        } else if set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit")
            || set("TERM").is_some_and(|term| term.ends_with("-direct"))
        {
            Depth::True
        } else {
            Depth::Sixteen
        };
        // rxvt, konsole and others: "foreground;background" as indices of the sixteen
        let light = set("COLORFGBG")
            .and_then(|value| value.rsplit(';').next().and_then(|ground| ground.parse::<u8>().ok()))
            .is_some_and(|ground| ground == 7 || (9..=15).contains(&ground));
        Self { ground: if light { Ground::Light } else { Ground::Dark }, depth }
    }
}

/// A style for everything that is drawn, by meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The ground it was made for; the highlighter picks its own colours by it.
    pub ground: Ground,
    /// The depth it was made for; with [`Depth::None`] the highlighter has nothing to do.
    pub depth: Depth,
    /// Ordinary text.
    pub text: Style,
    /// What matters less: hints, times, counts.
    pub dim: Style,
    /// What is looked for: the current entry's marker, key names.
    pub accent: Style,
    /// The person's turns: their mark and name.
    pub user: Style,
    /// The model's turns: their mark and name.
    pub assistant: Style,
    /// Headings by level; deeper ones take the last.
    pub heading: [Style; 3],
    /// `strong`.
    pub strong: Style,
    /// *emphasis*.
    pub emphasis: Style,
    /// Struck out.
    pub strike: Style,
    /// `inline code`.
    pub code: Style,
    /// The text of a code block before (or without) highlighting; its background fills the block.
    pub block: Style,
    /// A code block's head line: number and language.
    pub block_label: Style,
    /// A code block's frame.
    pub block_border: Style,
    /// Bullets and numbers of lists.
    pub marker: Style,
    /// Block quotes and their bar.
    pub quote: Style,
    /// Links.
    pub link: Style,
    /// Table lines.
    pub table_border: Style,
    /// The head row of a table.
    pub table_head: Style,
    /// Horizontal rules.
    pub rule: Style,
    /// Thinking, folded or not.
    pub thinking: Style,
    /// Something went wrong.
    pub error: Style,
    /// Something needs attention.
    pub warning: Style,
    /// Something went well.
    pub ok: Style,
    /// The selected row of a list.
    pub selection: Style,
    /// Letters that matched what was typed.
    pub matched: Style,
    /// The status line.
    pub status: Style,
    /// Frames of popups and the input.
    pub border: Style,
    /// The frame of what has the keyboard.
    pub focus: Style,
    /// Text that is proposed, not there.
    pub ghost: Style,
}

/// The colours a theme is mixed from.
struct Palette {
    accent: Color,
    user: Color,
    assistant: Color,
    heading: Color,
    code: Color,
    block: Option<Color>,
    dim: Color,
    quote: Color,
    link: Color,
    error: Color,
    warning: Color,
    ok: Color,
    selection: Option<(Color, Color)>,
    status: Option<Color>,
}

const fn rgb(hex: u32) -> Color {
    Color::Rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const TRUE_DARK: Palette = Palette {
    accent: rgb(0x7aa2f7),
    user: rgb(0x9ece6a),
    assistant: rgb(0x7dcfff),
    heading: rgb(0xe0af68),
    code: rgb(0xff9e64),
    block: Some(rgb(0x1f2335)),
    dim: rgb(0x7c83a3),
    quote: rgb(0x9aa5ce),
    link: rgb(0x73daca),
    error: rgb(0xf7768e),
    warning: rgb(0xe0af68),
    ok: rgb(0x9ece6a),
    selection: Some((rgb(0xffffff), rgb(0x364a82))),
    status: Some(rgb(0x24283b)),
};

const TRUE_LIGHT: Palette = Palette {
    accent: rgb(0x2e5cb8),
    user: rgb(0x3f6d14),
    assistant: rgb(0x00657f),
    heading: rgb(0x8a5a00),
    code: rgb(0xa13d00),
    block: Some(rgb(0xeef0f5)),
    dim: rgb(0x6a7084),
    quote: rgb(0x565f89),
    link: rgb(0x0a6b5c),
    error: rgb(0xb3153a),
    warning: rgb(0x8a5a00),
    ok: rgb(0x3f6d14),
    selection: Some((rgb(0x10131f), rgb(0xc4d4f8))),
    status: Some(rgb(0xe3e6ee)),
};

// The terminal's own colours: names that stay readable on either ground, and no backgrounds of ours.
const SIXTEEN_DARK: Palette = Palette {
    accent: Color::LightBlue,
    user: Color::LightGreen,
    assistant: Color::LightCyan,
    heading: Color::LightYellow,
    code: Color::Yellow,
    block: None,
    dim: Color::DarkGray,
    quote: Color::Gray,
    link: Color::Cyan,
    error: Color::LightRed,
    warning: Color::LightYellow,
    ok: Color::LightGreen,
    selection: None,
    status: None,
};

const SIXTEEN_LIGHT: Palette = Palette {
    accent: Color::Blue,
    user: Color::Green,
    assistant: Color::Blue,
    heading: Color::Magenta,
    code: Color::Red,
    block: None,
    dim: Color::DarkGray,
    quote: Color::DarkGray,
    link: Color::Cyan,
    error: Color::Red,
    warning: Color::Magenta,
    ok: Color::Green,
    selection: None,
    status: None,
};

impl Theme {
    /// What a choice looks like with what the terminal can do. Without colours in the terminal every choice is plain.
    pub fn new(choice: ThemeChoice, ability: Ability) -> Self {
        let ground = match choice {
            ThemeChoice::Dark => Ground::Dark,
            ThemeChoice::Light => Ground::Light,
            ThemeChoice::Auto | ThemeChoice::Plain => ability.ground,
        };
        match (choice, ability.depth, ground) {
            (ThemeChoice::Plain, _, _) | (_, Depth::None, _) => Self::plain(ground),
            (_, Depth::Sixteen, Ground::Dark) => Self::coloured(ground, Depth::Sixteen, &SIXTEEN_DARK),
            (_, Depth::Sixteen, Ground::Light) => Self::coloured(ground, Depth::Sixteen, &SIXTEEN_LIGHT),
            (_, Depth::True, Ground::Dark) => Self::coloured(ground, Depth::True, &TRUE_DARK),
            (_, Depth::True, Ground::Light) => Self::coloured(ground, Depth::True, &TRUE_LIGHT),
        }
    }

    /// Modifiers only; also what tests of screens use.
    pub fn plain(ground: Ground) -> Self {
        let text = Style::new();
        let bold = text.add_modifier(Modifier::BOLD);
        let dim = text.add_modifier(Modifier::DIM);
        let under = text.add_modifier(Modifier::UNDERLINED);
        Self {
            ground,
            depth: Depth::None,
            text,
            dim,
            accent: bold,
            user: bold,
            assistant: bold,
            heading: [bold.add_modifier(Modifier::UNDERLINED), bold, bold],
            strong: bold,
            emphasis: text.add_modifier(Modifier::ITALIC),
            strike: text.add_modifier(Modifier::CROSSED_OUT),
            code: bold,
            block: text,
            block_label: dim,
            block_border: dim,
            marker: bold,
            quote: text.add_modifier(Modifier::ITALIC),
            link: under,
            table_border: dim,
            table_head: bold,
            rule: dim,
            thinking: dim.add_modifier(Modifier::ITALIC),
            error: bold,
            warning: bold,
            ok: text,
            selection: text.add_modifier(Modifier::REVERSED),
            matched: under,
            status: text.add_modifier(Modifier::REVERSED),
            border: dim,
            focus: bold,
            ghost: dim,
        }
    }

    fn coloured(ground: Ground, depth: Depth, palette: &Palette) -> Self {
        let plain = Self::plain(ground);
        let fg = |style: Style, colour: Color| style.fg(colour);
        // DIM on top of a gray is unreadable on many phones
        let dim = Style::new().fg(palette.dim);
        let ground_of = |style: Style, colour: Option<Color>| colour.map_or(style, |colour| style.bg(colour));
        Self {
            ground,
            depth,
            text: plain.text,
            dim,
            accent: fg(plain.accent, palette.accent),
            user: fg(plain.user, palette.user),
            assistant: fg(plain.assistant, palette.assistant),
            heading: plain.heading.map(|style| fg(style, palette.heading)),
            strong: plain.strong,
            emphasis: plain.emphasis,
            strike: plain.strike,
            code: Style::new().fg(palette.code),
            block: ground_of(plain.block, palette.block),
            block_label: ground_of(dim, palette.block),
            block_border: ground_of(dim, palette.block),
            marker: Style::new().fg(palette.accent),
            quote: fg(plain.quote, palette.quote),
            link: fg(plain.link, palette.link),
            table_border: dim,
            table_head: plain.table_head,
            rule: dim,
            thinking: dim.add_modifier(Modifier::ITALIC),
            error: fg(plain.error, palette.error),
            warning: fg(plain.warning, palette.warning),
            ok: fg(plain.ok, palette.ok),
            selection: palette.selection.map_or(plain.selection, |(fg, bg)| Style::new().fg(fg).bg(bg)),
            matched: fg(plain.matched, palette.accent),
            status: palette.status.map_or(plain.status, |bg| Style::new().bg(bg)),
            border: dim,
            focus: Style::new().fg(palette.accent),
            ghost: dim,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ability(vars: &[(&str, &str)]) -> Ability {
        Ability::from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn no_color_wins_over_everything() {
        let found = ability(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]);
        assert_eq!(found.depth, Depth::None);
        assert_eq!(Theme::new(ThemeChoice::Dark, found), Theme::plain(Ground::Dark));
        assert_eq!(ability(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]).depth, Depth::True);
    }

    #[test]
    fn the_environment_tells_depth_and_ground() {
        assert_eq!(ability(&[("TERM", "xterm-256color")]).depth, Depth::Sixteen);
        assert_eq!(ability(&[("TERM", "dumb")]).depth, Depth::None);
        assert_eq!(ability(&[("COLORFGBG", "0;15")]).ground, Ground::Light);
        assert_eq!(ability(&[("COLORFGBG", "15;default;0")]).ground, Ground::Dark);
        assert_eq!(ability(&[("COLORFGBG", "nonsense")]).ground, Ground::Dark);
    }

    #[test]
    fn sixteen_colours_bring_no_background_of_their_own() {
        let theme = Theme::new(ThemeChoice::Auto, Ability { ground: Ground::Dark, depth: Depth::Sixteen });
        assert_eq!((theme.block.bg, theme.status.bg, theme.selection.bg), (None, None, None));
        assert!(theme.selection.add_modifier.contains(Modifier::REVERSED));
    }
}
