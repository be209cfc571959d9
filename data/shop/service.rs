//! The shop's customer service: the articles of its help pages and the questions of December, from `help.tsv` and
//! `questions.tsv` beside this file.
//!
//! A question is asked by a customer on a day; it has the article that answers it, or none where it looks for a product.

use std::error::Error;

/// Questions that are asked on a day.
pub(crate) const A_DAY: usize = 8;

/// An article of the help pages.
pub(crate) struct Article {
    pub(crate) id: i64,
    key: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
}

/// What somebody asks.
pub(crate) struct Question {
    pub(crate) text: &'static str,
    /// The topic of the article, or `product`.
    pub(crate) topic: &'static str,
    pub(crate) article: Option<i64>,
}

/// The articles, numbered in their order.
pub(crate) fn articles() -> Result<Vec<Article>, Box<dyn Error>> {
    let lines = include_str!("help.tsv").lines().skip(1);
    let article = |(id, line): (i64, &'static str)| match line.split('\t').collect::<Vec<_>>()[..] {
        [key, topic, title, text] => Ok(Article { id, key, topic, title, text }),
        _ => Err(format!("help.tsv: no article: {line}").into()),
    };
    (1..).zip(lines).map(article).collect()
}

/// The questions, in the order in which they are asked.
pub(crate) fn questions(articles: &[Article]) -> Result<Vec<Question>, Box<dyn Error>> {
    let question = |line: &'static str| match line.split('\t').collect::<Vec<_>>()[..] {
        [text, "", topic] => Ok(Question { text, topic, article: None }),
        [text, key, topic] => match articles.iter().find(|article| article.key == key && article.topic == topic) {
            Some(article) => Ok(Question { text, topic, article: Some(article.id) }),
            None => Err(format!("questions.tsv: no article '{key}' about {topic}").into()),
        },
        _ => Err(format!("questions.tsv: no question: {line}").into()),
    };
    include_str!("questions.tsv").lines().skip(1).map(question).collect()
}
