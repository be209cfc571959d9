//! Texts as numbers: words and characters counted (`tfidf`), and what is predicted from them (`ridge`).

mod tokens;

pub mod ridge;
pub mod tfidf;
