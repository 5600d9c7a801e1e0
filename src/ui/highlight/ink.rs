//! What a piece of code can be, and how each is drawn on each ground. What it refuses to do: know any language.

use ratatui::style::{Color, Modifier, Style};

use crate::ui::theme::{Depth, Ground, Theme};

/// What a piece of code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ink {
    /// Nothing in particular.
    Plain,
    /// A comment.
    Comment,
    /// A string or a character.
    Text,
    /// A number or a named constant.
    Constant,
    /// A keyword.
    Keyword,
    /// The name of a type.
    Type,
    /// The name of a function or macro.
    Function,
    /// An attribute, annotation or key.
    Attribute,
    /// A line that was added (in a diff).
    Inserted,
    /// A line that was taken out (in a diff).
    Deleted,
}

impl Ink {
    const ALL: [Self; 10] = [
        Self::Plain,
        Self::Comment,
        Self::Text,
        Self::Constant,
        Self::Keyword,
        Self::Type,
        Self::Function,
        Self::Attribute,
        Self::Inserted,
        Self::Deleted,
    ];

    pub(super) fn from_index(index: u8) -> Self {
        Self::ALL.get(usize::from(index)).copied().unwrap_or(Self::Plain)
    }

    /// The style of this ink on the theme's code blocks.
    pub fn style(self, theme: &Theme) -> Style {
        let inks = match (theme.depth, theme.ground) {
            (Depth::None, _) => return theme.block,
            (Depth::Sixteen, Ground::Dark) => &SIXTEEN_DARK,
            (Depth::Sixteen, Ground::Light) => &SIXTEEN_LIGHT,
            (Depth::True, Ground::Dark) => &TRUE_DARK,
            (Depth::True, Ground::Light) => &TRUE_LIGHT,
        };
        let style = match inks.get(self as usize) {
            Some(Some(colour)) => theme.block.fg(*colour),
            _ => theme.block,
        };
        if self == Self::Comment { style.add_modifier(Modifier::ITALIC) } else { style }
    }
}

const fn rgb(hex: u32) -> Option<Color> {
    Some(Color::Rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8))
}

type Inks = [Option<Color>; 10];

const TRUE_DARK: Inks = [
    None,
    rgb(0x7c83a3),
    rgb(0x9ece6a),
    rgb(0xff9e64),
    rgb(0xbb9af7),
    rgb(0x4fd6be),
    rgb(0x7aa2f7),
    rgb(0xe0af68),
    rgb(0x9ece6a),
    rgb(0xf7768e),
];

const TRUE_LIGHT: Inks = [
    None,
    rgb(0x6a7084),
    rgb(0x3f6d14),
    rgb(0xa13d00),
    rgb(0x7a2fb0),
    rgb(0x00657f),
    rgb(0x2e5cb8),
    rgb(0x8a5a00),
    rgb(0x3f6d14),
    rgb(0xb3153a),
];

const SIXTEEN_DARK: Inks = [
    None,
    Some(Color::DarkGray),
    Some(Color::LightGreen),
    Some(Color::LightYellow),
    Some(Color::LightMagenta),
    Some(Color::LightCyan),
    Some(Color::LightBlue),
    Some(Color::Yellow),
    Some(Color::LightGreen),
    Some(Color::LightRed),
];

const SIXTEEN_LIGHT: Inks = [
    None,
    Some(Color::DarkGray),
    Some(Color::Green),
    Some(Color::Red),
    Some(Color::Magenta),
    Some(Color::Cyan),
    Some(Color::Blue),
    Some(Color::Magenta),
    Some(Color::Green),
    Some(Color::Red),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_every_ink_is_the_blocks_own() {
        let theme = Theme::plain(Ground::Dark);
        assert!(Ink::ALL.into_iter().all(|ink| ink.style(&theme) == theme.block));
    }
}
