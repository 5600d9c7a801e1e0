//! Puts the checks of `bounds.rs` into a compiled template, and refuses sources that would be compiled too deeply.
//!
//! Only minijinja's instructions say what a template does; each that can make more than it is given is preceded by a check of
//! its operands, and followed by a count of what it made. What stays as it is: control flow, lookups, numbers.

use minijinja::machinery::{Instruction, Instructions, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;

use super::TemplateError;

/// Names of the two functions; no template can spell them.
pub(super) const CHECK: &str = "check operands";
pub(super) const MADE: &str = "count what was made";

/// Parts of an expression or a statement; those in use have some dozens.
const LONGEST: usize = 600;
/// Signs and `not` one after the other.
const SIGNS: usize = 16;
/// Branches of conditions: each stands inside the one before it.
const BRANCHES: usize = 200;
/// Bytes that all repeated texts of a template may have, those of `'-' * 40`: the compiler computes them already.
const REPEATED: u64 = 1 << 20;

/// Refuses what the compiler, which calls itself for each part of an expression, would run out of stack with, or what it
/// would compute already while it compiles.
///
/// # Errors
/// Some expression is too long or too deep.
pub(super) fn verify(source: &str, syntax: &SyntaxConfig) -> Result<(), TemplateError> {
    let mut tag = Tag::default();
    let (mut branches, mut repeated) = (0, 0_u64);
    for token in tokenize(source, false, syntax.clone()) {
        // Whoever compiles it says better what is wrong.
        let Ok((token, span)) = token else { return Ok(()) };
        match token {
            Token::BlockStart | Token::VariableStart => {
                repeated = repeated.saturating_add(tag.repeated());
                tag = Tag::default();
            }
            Token::Ident("elif") => branches += 1,
            _ => {}
        }
        tag.take(&token);
        if repeated.saturating_add(tag.repeated()) > REPEATED {
            return Err(TemplateError::TooLarge);
        }
        if tag.parts > LONGEST || tag.signs > SIGNS || branches > BRANCHES {
            let message = "an expression is too long or nested too deeply".to_owned();
            return Err(TemplateError::Syntax { line: span.start_line.into(), message });
        }
    }
    Ok(())
}

/// What was met since a tag began.
#[derive(Debug, Default)]
struct Tag {
    parts: usize,
    signs: usize,
    /// Bytes of its texts.
    texts: u64,
    /// It may multiply a text.
    repeats: bool,
    /// What stands before the next part ends a text or a parenthesis; a `*` stands there.
    after: bool,
    times: bool,
    /// The numbers multiplied, each taken for more than it is so that sums count too.
    product: u64,
}

impl Tag {
    fn take(&mut self, token: &Token<'_>) {
        self.parts += 1;
        self.signs = if matches!(token, Token::Minus | Token::Ident("not")) { self.signs + 1 } else { 0 };
        let mut times = |number: u64| self.product = self.product.max(1).saturating_mul(number.saturating_add(2));
        let is_times = matches!(token, Token::Mul);
        let text = matches!(token, Token::Str(_) | Token::String(_));
        self.repeats |= self.times && (text || matches!(token, Token::ParenOpen)) || self.after && is_times;
        self.times = is_times;
        self.after = text || matches!(token, Token::ParenClose);
        match token {
            Token::Str(text) => self.texts += text.len() as u64,
            Token::String(text) => self.texts += text.len() as u64,
            // A power of what is not known here.
            Token::Pow => times(u64::MAX),
            Token::Int(number) => times(*number),
            Token::Int128(_) => times(u64::MAX),
            Token::Float(number) => times(*number as u64),
            _ => {}
        }
    }

    /// Bytes of what it repeats, at most.
    fn repeated(&self) -> u64 {
        if self.repeats { self.texts.saturating_mul(self.product) } else { 0 }
    }
}

/// A template with its checks.
///
/// # Errors
/// It includes other templates, or passes arguments in a way that cannot be checked.
pub(super) fn watched<'a>(plain: &Instructions<'a>) -> Result<Instructions<'a>, TemplateError> {
    let mut groups = Vec::new();
    let mut starts = Vec::new();
    let mut next = 0_u32;
    for at in 0.. {
        let Some(instruction) = plain.get(at) else { break };
        let group = with_checks(instruction)?;
        starts.push(next);
        next += group.len() as u32;
        groups.push(group);
    }
    starts.push(next);
    let moved = |to: u32| starts.get(to as usize).copied().unwrap_or(next);
    let mut all = Instructions::new(plain.name(), plain.source());
    for instruction in groups.into_iter().flatten() {
        all.add(match instruction {
            Instruction::Iterate(to) => Instruction::Iterate(moved(to)),
            Instruction::Jump(to) => Instruction::Jump(moved(to)),
            Instruction::JumpIfFalse(to) => Instruction::JumpIfFalse(moved(to)),
            Instruction::JumpIfFalseOrPop(to) => Instruction::JumpIfFalseOrPop(moved(to)),
            Instruction::JumpIfTrueOrPop(to) => Instruction::JumpIfTrueOrPop(moved(to)),
            Instruction::BuildMacro(name, to, flags) => Instruction::BuildMacro(name, moved(to), flags),
            other => other,
        });
    }
    Ok(all)
}

fn with_checks<'a>(instruction: &Instruction<'a>) -> Result<Vec<Instruction<'a>>, TemplateError> {
    use Instruction as Op;
    let own = instruction.clone();
    let named = |kind: char, name: &str| format!("{kind}{}", name.split_whitespace().collect::<String>());
    Ok(match instruction {
        // The formatter counts what is written; raw text would pass it by.
        Op::EmitRaw(text) => vec![Op::LoadConst(Value::from(*text)), Op::Emit],
        // The compiler has computed it, and `[0] * 100000000` is a list that is not there yet.
        Op::LoadConst(value) if value.as_object().is_some() && !value.is_kwargs() => {
            vec![own, Op::CallFunction(MADE, Some(1))]
        }
        Op::Add => group("+", 2, own, true),
        Op::StringConcat => group("~", 2, own, false),
        Op::Mul => group("*", 2, own, true),
        Op::Slice => group("[", 4, own, true),
        Op::Eq | Op::Ne | Op::Gt | Op::Gte | Op::Lt | Op::Lte | Op::In | Op::CompareAndPreserve(_) => {
            group("=", 2, own, false)
        }
        Op::SetAttr(_) => group("s", 2, own, false),
        Op::BuildMap(_) | Op::BuildList(_) | Op::BuildTuple(_) => vec![own, Op::CallFunction(MADE, Some(1))],
        Op::ApplyFilter(name, Some(count), _) => group(&named('|', name), *count, own, true),
        Op::PerformTest(name, Some(count), _) => group(&named('?', name), *count, own, false),
        Op::CallMethod(name, Some(count)) => group(&named('.', name), *count, own, true),
        Op::CallFunction(name, Some(count)) => group(&named('(', name), *count, own, true),
        Op::CallObject(Some(count)) => group("(", *count, own, true),
        Op::ApplyFilter(_, None, _)
        | Op::PerformTest(_, None, _)
        | Op::CallMethod(_, None)
        | Op::CallFunction(_, None)
        | Op::CallObject(None) => return Err(TemplateError::Raised("`*arguments` are not known here".to_owned())),
        Op::LoadBlocks | Op::Include(_) | Op::CallBlock(_) | Op::FastSuper | Op::ExportLocals => {
            return Err(TemplateError::Raised("it wants other templates, and there are none".to_owned()));
        }
        _ => vec![own],
    })
}

/// An operation behind the check of its operands, and before the count of what it made.
fn group<'a>(mark: &str, operands: u16, own: Instruction<'a>, counted: bool) -> Vec<Instruction<'a>> {
    let mut all = Vec::with_capacity(5);
    if operands > 0 {
        all.push(Instruction::LoadConst(Value::from(mark)));
        // The mark lies on top of the operands, and is the last argument.
        all.push(Instruction::CallFunction(CHECK, Some(operands + 1)));
        all.push(Instruction::UnpackList(operands.into()));
    }
    all.push(own);
    if counted {
        all.push(Instruction::CallFunction(MADE, Some(1)));
    }
    all
}
