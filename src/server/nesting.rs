//! How deep a statement nests: takes its tokens; says when it is too deep to be planned.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

/// Deepest that a statement may nest. Whoever plans or drops a statement does so by recursion, and a stack that overflows
/// ends the whole process.
const DEEPEST: usize = 1500;

/// Words that put what stands before them, or behind, one level deeper.
const NESTING: &[Keyword] = &[
    Keyword::AND,
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::CASE,
    Keyword::COLLATE,
    Keyword::DIV,
    Keyword::EXCEPT,
    Keyword::EXISTS,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::JOIN,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::OR,
    Keyword::REGEXP,
    Keyword::RLIKE,
    Keyword::SIMILAR,
    Keyword::UNION,
    Keyword::XOR,
];

/// What is wrong with a statement that nests too deep; `None` for all others. `tokens` are without spaces and comments.
pub(super) fn too_deep(tokens: &[Token]) -> Option<String> {
    let depth = depth(tokens);
    (depth > DEEPEST)
        .then(|| format!("stack depth limit exceeded: a statement nests {depth} deep, and {DEEPEST} is the most"))
}

/// How deep the tree of a statement is at most: `1 + 1 + 1` nests as `((1) + 1) + 1` does, and a list does not.
fn depth(tokens: &[Token]) -> usize {
    // Operators since the last comma, for each open parenthesis.
    let mut open = vec![0_usize];
    let (mut total, mut deepest) = (0, 0);
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push(1);
                total += 1;
            }
            Token::RParen | Token::RBracket | Token::RBrace if open.len() > 1 => {
                total -= open.pop().unwrap_or_default()
            }
            Token::Comma => {
                if let Some(operators) = open.last_mut() {
                    total -= *operators;
                    *operators = 0;
                }
            }
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) | Token::Period => {}
            Token::Word(word) if !NESTING.contains(&word.keyword) => {}
            _ => {
                if let Some(operators) = open.last_mut() {
                    *operators += 1;
                    total += 1;
                }
            }
        }
        deepest = deepest.max(total);
    }
    deepest
}
