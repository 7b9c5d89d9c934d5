//! Warns of comments that look like Python's integer division: `D // heads`.

use rustc_hash::FxHashSet;

use crate::diagnostic::Diagnostic;
use crate::hir::Program;
use crate::lexer::{Symbol, Token, TokenKind, lex};
use crate::span::Span;

/// Warns of comments of the main file that follow an expression and read like a divisor: a name of the file, a number, or an expression in
/// parentheses, and nothing else.
pub(super) fn check(program: &Program, warnings: &mut Vec<Diagnostic>) {
    let source = program.main().source;
    let Some(text) = program.sources.get(source).filter(|source| !source.name().ends_with(".ron")) else { return };
    let text = text.text();
    let lexed = lex(source, text);
    let names: FxHashSet<&str> =
        lexed.tokens.iter().filter(|token| is_name(token)).map(|token| &text[token.span.range()]).collect();
    for comment in lexed.comments {
        let before = lexed.tokens.partition_point(|token| token.span.start < comment.start);
        let Some(last) = lexed.tokens[..before].last().filter(|token| ends_value(token)) else { continue };
        let on_its_line = !text[last.span.end as usize..comment.start as usize].contains('\n');
        let divisor = text[comment.range()].trim_start_matches("//").trim();
        if on_its_line && is_operand(divisor, &names) {
            warnings.push(warning(last.span, comment, &text[last.span.range()], divisor));
        }
    }
}

fn warning(last: Span, comment: Span, dividend: &str, divisor: &str) -> Diagnostic {
    // the tokens show only where a longer expression ends
    let dividend = if dividend.ends_with([')', ']']) { "…" } else { dividend };
    let message = format!("`// {divisor}` is a comment, not a division");
    Diagnostic::warning("division-comment", message)
        .primary(last, "not divided")
        .secondary(comment, "`//` starts a comment")
        .help(format!(
            "to divide and round down, write `floor_div({dividend}, {divisor})`; in a comment, write more than the operand"
        ))
}

fn is_name(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Name(_))
}

/// Whether an expression may end with this token.
fn ends_value(token: &Token) -> bool {
    use TokenKind::{Float, Int, Name};
    matches!(token.kind, Name(_) | Int(_) | Float(_) | TokenKind::Symbol(Symbol::RParen | Symbol::RBracket))
}

/// Whether a comment reads like an operand.
fn is_operand(text: &str, names: &FxHashSet<&str>) -> bool {
    let number = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || "._".contains(c))
    };
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let words = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || " _.+-*/%()".contains(c));
    // words in parentheses without an operator are a remark
    let grouped =
        inner.is_some_and(|inner| words(inner) && (names.contains(inner) || inner.contains(['+', '-', '*', '/', '%'])));
    number(text) || names.contains(text) || grouped
}
