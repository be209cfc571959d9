//! What several components read: fitted once for all of them.
//!
//! - [`tfidf`], [`tokens`]: texts as terms
//! - [`knn`]: the most similar texts
//! - [`als`]: factors of users and items
//! - [`ease`]: weights between items

pub mod als;
pub mod ease;
pub mod knn;
pub mod tfidf;
pub mod tokens;
