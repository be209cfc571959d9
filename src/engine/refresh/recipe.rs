//! What is done to rows between the place where they are compared and the table, as a text that changes with it.
//!
//! Takes the nodes in between, from the bottom up; gives a digest of their expressions, and the models in them. Names that the
//! optimizer makes up, which differ from one statement to the next, are not in it: every column stands for its expression.

use std::collections::{BTreeMap, HashMap};

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, internal_datafusion_err};
use datafusion::logical_expr::{Expr, LogicalPlan};
use debut_udfs::functions::inference_of;

use crate::engine::infer::node::Infer;
use crate::refresh::digest;

/// The expressions that columns stand for.
pub(super) struct Expressions {
    /// The digest of each column's expression, of the node that was added last.
    columns: HashMap<Column, String>,
    /// Those of filters.
    filters: Vec<String>,
    /// The fingerprints of models, by `name@version`.
    models: BTreeMap<String, String>,
}

impl Expressions {
    /// The names and types of a table's columns, as a digest.
    pub(super) fn of_columns(schema: &DFSchema) -> String {
        let describe = |text: String, field: &arrow::datatypes::FieldRef| {
            let metadata: BTreeMap<_, _> = field.metadata().iter().collect();
            text + &format!("{} {} {metadata:?}\n", field.name(), field.data_type())
        };
        digest::of_text(&schema.fields().iter().fold(String::new(), describe))
    }

    /// The columns of what is below: rows are compared by their values, so that all that counts is which is which.
    pub(super) fn over(base: &LogicalPlan) -> Self {
        let columns = base.schema().iter().enumerate().map(|(index, field)| {
            let text = format!("column {index} {}", field.1.data_type());
            (Column::from(field), digest::of_text(&text))
        });
        Self { columns: columns.collect(), filters: Vec::new(), models: BTreeMap::new() }
    }

    /// Goes up one node.
    pub(super) fn add(&mut self, node: &LogicalPlan) -> Result<()> {
        if let Some(infer) = Infer::of(node) {
            let call = self.digest(&infer.call)?;
            self.columns.insert(infer.result(), call);
            return Ok(());
        }
        match node {
            LogicalPlan::Projection(projection) => {
                let digests = projection.expr.iter().map(|expr| self.digest(expr)).collect::<Result<Vec<_>>>()?;
                self.columns = projection.schema.columns().into_iter().zip(digests).collect();
            }
            LogicalPlan::Filter(filter) => {
                let digest = self.digest(&filter.predicate)?;
                self.filters.push(digest);
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let columns =
                    alias.input.schema().columns().iter().map(|column| self.of(column)).collect::<Result<Vec<_>>>()?;
                self.columns = alias.schema.columns().into_iter().zip(columns).collect();
            }
            // An order is none of a table's.
            _ => {}
        }
        Ok(())
    }

    /// The digest of all that was added, below a source of these columns; and the models in it.
    pub(super) fn finish(mut self, source: &LogicalPlan) -> Result<(String, BTreeMap<String, String>)> {
        let columns = source.schema().columns().iter().map(|column| self.of(column)).collect::<Result<Vec<_>>>()?;
        // In whatever order the optimizer has put them.
        self.filters.sort();
        let text = format!("{}\n{}", columns.join(" "), self.filters.join(" "));
        Ok((digest::of_text(&text), self.models))
    }

    fn of(&self, column: &Column) -> Result<String> {
        let known = self.columns.get(column).cloned();
        known.ok_or_else(|| internal_datafusion_err!("refresh: the column {column} is not known"))
    }

    fn digest(&mut self, expr: &Expr) -> Result<String> {
        let expr = expr.clone().unalias_nested().data;
        if let Expr::Column(column) = &expr {
            return self.of(column);
        }
        let mut literals = String::new();
        let replaced = expr.transform_up(|expr| match &expr {
            Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(self.of(column)?)))),
            Expr::Literal(value, _) => {
                // Shown as part of an expression, a long one is cut.
                literals += &format!("{value:?} ");
                Ok(Transformed::no(expr))
            }
            _ => Ok(Transformed::no(expr)),
        })?;
        replaced.data.apply(|expr| {
            if let Expr::ScalarFunction(function) = expr
                && let Some(inference) = inference_of(function)?
            {
                self.models.insert(inference.model.reference(), inference.model.fingerprint.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(digest::of_text(&format!("{} {literals}", replaced.data)))
    }
}
