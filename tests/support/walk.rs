//! The files of `sql/` in the README's order, which is that in which they build on each other.

#![allow(dead_code, missing_docs, unreachable_pub)]

/// A file of the walk.
pub struct Step {
    pub file: &'static str,
    /// Values for its `$name`.
    pub parameters: &'static [(&'static str, &'static str)],
    /// What it has to print.
    pub expected: &'static str,
}

const fn step(file: &'static str, parameters: &'static [(&'static str, &'static str)], expected: &'static str) -> Step {
    Step { file, parameters, expected }
}

const TEA: (&str, &str) = ("query", "a gift for somebody who loves tea");

pub const WALK: [Step; 26] = [
    step("load.sql", &[], "2000"),
    step("embed.sql", &[], "FixedSizeList(384 x Float32"),
    step("refresh.sql", &[], "the table is new"),
    step("search.sql", &[TEA], "fit"),
    step("score.sql", &[("customer", "42")], "launched"),
    step("export.sql", &[], "customers"),
    step("train.sql", &[], "reads_like"),
    step("reviews.sql", &[], "p_value"),
    step("recommend.sql", &[("customer", "59")], "taste@"),
    step("evaluate.sql", &[], "text_knn"),
    step("nightly.sql", &[], "mean_probability"),
    step("experiment.sql", &[], "variance_reduction"),
    step("audience.sql", &[], "customer_id"),
    step("forecast.sql", &[], "similar"),
    step("gaps.sql", &[], "nearest_text"),
    step("explain.sql", &[("customer", "59")], "because_of"),
    // Views and settings: it prints nothing.
    step("page.sql", &[], ""),
    step("service.sql", &[("day", "2025-12-28")], "answered_by"),
    step("context.sql", &[TEA, ("customer", "59")], "fits_query"),
    step("drift.sql", &[], "recall_20"),
    step("weekly.sql", &[], "taste@1"),
    step("similar_pictures.sql", &[("product", "10013")], "looks_alike"),
    step("new_pictures.sql", &[("customer", "59")], "what_it_is"),
    step("transfer.sql", &[], "others_from_home"),
    step("distill.sql", &[TEA], "fast@1"),
    step("demo.sql", &[("customer", "59")], "rank"),
];

/// Files that name their parameters in locations, too: `debut run` and `debut sql` bind them, clients of a server cannot.
pub const JOBS: [Step; 1] = [step("job.sql", &[("as_of", "2025-12-22")], "quantity")];
