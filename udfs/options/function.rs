//! A function with named arguments: its options, its sub-queries, and what people are told about it. Each such function has one
//! as a constant.

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Documentation;
use datafusion_doc::DocSection;

use super::setting::Setting;
use super::value::did_you_mean;

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is called.
    pub usage: &'static str,
    /// What it gives, for the documentation.
    pub description: &'static str,
    /// A call, for the documentation.
    pub example: &'static str,
    /// Name and meaning of each sub-query.
    pub sub_queries: &'static [(&'static str, &'static str)],
    /// Its options. Each stands behind those that decide about it.
    pub settings: &'static [Setting],
}

impl Function {
    /// The option of this name.
    ///
    /// # Errors
    /// There is none; the message names the closest.
    pub fn setting(&self, name: &str) -> Result<&'static Setting> {
        if let Some(setting) = self.settings.iter().find(|setting| setting.name == name) {
            return Ok(setting);
        }
        let sub_queries = self.sub_queries.iter().map(|(name, _)| *name);
        let names: Vec<&str> = self.settings.iter().map(|setting| setting.name).chain(sub_queries).collect();
        plan_err!(
            "{}: there is no option '{name}'{}; the options are {}",
            self.name,
            did_you_mean(name, &names),
            names.join(", ")
        )
    }

    /// Whether an argument of this name is a sub-query.
    pub fn has_sub_query(&self, name: &str) -> bool {
        self.sub_queries.iter().any(|(sub_query, _)| *sub_query == name)
    }

    /// The documentation; each sub-query and each option is an argument.
    pub fn documentation(&self) -> Documentation {
        let section = DocSection { include: true, label: "Table Functions", description: None };
        let mut builder = Documentation::builder(section, self.description, self.usage)
            .with_sql_example(format!("```sql\n{}\n```", self.example));
        for (name, meaning) in self.sub_queries {
            builder = builder.with_argument(*name, format!("{meaning}. A sub-query in parentheses."));
        }
        for setting in self.settings {
            builder = builder.with_argument(setting.name, setting.describe());
        }
        builder.build()
    }
}
