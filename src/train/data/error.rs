//! What can be wrong with training data. Each message names the table, the column, how many rows and the first of them
//! (counted from 1, in the order in which the query gave them), and what to do.

use super::role::Role;

/// A result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with the data or with an option that says how to read it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The option `columns` makes no sense.
    #[error("columns: {reason}")]
    Mapping {
        /// What is wrong with it.
        reason: String,
    },
    /// The option `columns` names a role that the objective does not read.
    #[error("columns gives a column for '{role}', which objective '{objective}' does not read; leave it out")]
    UnusedRole {
        /// The role.
        role: Role,
        /// The objective.
        objective: &'static str,
    },
    /// The tables are not those that the objective reads.
    #[error("{0}")]
    Tables(String),
    /// An objective that learns no encoder from such examples.
    #[error("objective '{0}' learns no encoder from such examples")]
    NoEncoder(&'static str),
    /// A base that reads pictures, and an objective of texts.
    #[error(
        "objective '{objective}' learns from texts, and base '{base}' reads pictures; with it use objective => \
         'classification' or 'regression', or another base"
    )]
    OnlyTexts {
        /// The base.
        base: String,
        /// The objective.
        objective: &'static str,
    },
    /// Examples of texts for a base that reads pictures, or the other way round.
    #[error(
        "base '{base}' reads {reads}, from a column '{needed}' of 'examples', which has a column '{other}' instead; select \
         {reads} AS {needed}, or use another base"
    )]
    OtherInput {
        /// The base.
        base: String,
        /// What it reads.
        reads: &'static str,
        /// The role of the column that it reads.
        needed: Role,
        /// The role of the column that is there.
        other: Role,
    },
    /// A column that is not there.
    #[error("'{table}' has no column '{column}' for the role '{role}'{}. It has: {known}. Rename it in the query, or say \
             columns => '{role}=...'", hint(closest.as_deref()))]
    MissingColumn {
        /// The table.
        table: &'static str,
        /// What the column is for.
        role: Role,
        /// The name that was looked for.
        column: String,
        /// The one that it may have been meant for.
        closest: Option<String>,
        /// The columns there are.
        known: String,
    },
    /// A column whose type cannot be read for its role.
    #[error("'{table}': column '{column}' ({role}) is of type {found}, but must be {expected}")]
    ColumnType {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// What it is for.
        role: Role,
        /// Its type.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// A table without rows.
    #[error("'{table}' has no rows")]
    Empty {
        /// The table.
        table: &'static str,
    },
    /// More rows than can be numbered.
    #[error("'{table}' has {rows} rows; at most {most} can be trained on at once")]
    TooManyRows {
        /// The table.
        table: &'static str,
        /// How many.
        rows: usize,
        /// How many there may be.
        most: usize,
    },
    /// NULL where a value must be.
    #[error(
        "'{table}': column '{column}' ({role}) is NULL in {rows} of {total} rows, first in row {first}; leave such rows \
             out with WHERE {column} IS NOT NULL"
    )]
    Null {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// What it is for.
        role: Role,
        /// How many.
        rows: usize,
        /// Of how many.
        total: usize,
        /// The first of them.
        first: usize,
    },
    /// NULL everywhere.
    #[error("'{table}': column '{column}' ({role}) is NULL in all {rows} rows: there is nothing to train on")]
    AllNull {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// What it is for.
        role: Role,
        /// How many.
        rows: usize,
    },
    /// Values that a role cannot have.
    #[error(
        "'{table}': column '{column}' ({role}) has {rows} values that are not {expected}; the first is '{value}' in row \
             {first}"
    )]
    Values {
        /// The table.
        table: &'static str,
        /// The column.
        column: String,
        /// What it is for.
        role: Role,
        /// How many.
        rows: usize,
        /// The first of them.
        value: String,
        /// Where that is.
        first: usize,
        /// What they must be.
        expected: &'static str,
    },
    /// Nothing to learn from.
    #[error("there are no positive examples: {reason}")]
    NoPositives {
        /// Why, and what to do.
        reason: String,
    },
    /// All labels are equal.
    #[error("all {examples} examples have the label '{label}': there is nothing to tell apart. {hint}")]
    OneClass {
        /// The label.
        label: String,
        /// How many.
        examples: usize,
        /// What to do.
        hint: &'static str,
    },
    /// Classes that cannot be learned from so few examples.
    #[error("there are {classes} different labels but only {examples} examples; is '{column}' the right column?")]
    TooManyClasses {
        /// How many labels.
        classes: usize,
        /// How many examples.
        examples: usize,
        /// The label's column.
        column: String,
    },
    /// No interaction's item is known.
    #[error(
        "none of the {rows} interactions has its item in 'items' (the first looks for '{item}'); compare '{left}' of \
             'interactions' with '{right}' of 'items'"
    )]
    UnknownItems {
        /// How many interactions.
        rows: usize,
        /// The first item that was looked for.
        item: String,
        /// The item's column there.
        left: String,
        /// The item's column in items.
        right: String,
    },
    /// An option with a value that it cannot have, or not with this data.
    #[error("{option} = {value}: {reason}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what there is.
        reason: String,
    },
    /// Arrow could not convert a column.
    #[error("'{table}' cannot be read: {source}")]
    Arrow {
        /// The table.
        table: &'static str,
        /// The reason.
        source: arrow::error::ArrowError,
    },
}

impl Error {
    /// For `map_err` at an Arrow operation.
    pub(super) fn arrow(table: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Self {
        move |source| Self::Arrow { table, source }
    }
}

fn hint(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}
