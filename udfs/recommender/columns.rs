//! The columns of the sub-queries about users and items: found by role, each in one type.
//!
//! Takes the plans of a call's sub-queries; gives plans whose columns are called by their role and have the type of
//! this table, so that who reads them has no other to think of. Optional columns that are not there stay away; others
//! that are there are dropped, such as pictures for a model that was trained without.
//!
//! | role | found as | handed over as |
//! |---|---|---|
//! | `user_id`, `item_id` | integers or text, as the model's ids are | `Int64` or `Utf8` |
//! | `text` | text | `Utf8View` |
//! | `image` | bytes | `BinaryView` |
//! | `timestamp`, `launched_at` | timestamps or dates | `Timestamp(Microsecond)`, UTC |
//! | `variant` | text, integers, true or false | `Utf8` |
//! | `weight`, `quantity`, `price`, `propensity`, `label`, and those of experiments | numbers, true or false | `Float64` |

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, DataFusionError, Result, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};

use crate::ids::{IdType, Ids};
use crate::model::{Modality, ModelInfo};
use crate::options::Inputs;
use crate::options::columns::{no_column, position};
use crate::text::is_text;

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who did something, or is recommended something.
    User,
    /// With which item, or which item it is.
    Item,
    /// The item's words.
    Text,
    /// The item's picture.
    Image,
    /// How much a row counts.
    Weight,
    /// How many units were bought.
    Quantity,
    /// When it happened.
    Timestamp,
    /// What the item costs.
    Price,
    /// When the item was first on sale.
    LaunchedAt,
    /// The probability with which the item was shown to the user.
    Propensity,
    /// Whether the user bought the item, from 0 to 1; in experiments, any reward.
    Label,
    /// Which variant of an experiment the user got.
    Variant,
    /// What came of it.
    Outcome,
    /// What was known of the user before the experiment.
    Before,
    /// The probability with which another policy would have shown the item to the user.
    Target,
    /// The label that a model predicts for the item.
    Predicted,
    /// The label that a model predicts for what the other policy would show.
    PredictedTarget,
}

impl Role {
    /// The name of the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Item => "item_id",
            Self::Text => "text",
            Self::Image => "image",
            Self::Weight => "weight",
            Self::Quantity => "quantity",
            Self::Timestamp => "timestamp",
            Self::Price => "price",
            Self::LaunchedAt => "launched_at",
            Self::Propensity => "propensity",
            Self::Label => "label",
            Self::Variant => "variant",
            Self::Outcome => "outcome",
            Self::Before => "before",
            Self::Target => "target",
            Self::Predicted => "predicted",
            Self::PredictedTarget => "predicted_target",
        }
    }
}

/// The columns of one sub-query.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The sub-query.
    pub input: &'static str,
    /// Columns that have to be there.
    pub required: &'static [Role],
    /// Columns that are read where they are there.
    pub optional: &'static [Role],
}

/// What is trained on.
pub const INTERACTIONS: Layout = Layout {
    input: "interactions",
    required: &[Role::User, Role::Item, Role::Timestamp],
    optional: &[Role::Weight, Role::Quantity],
};

/// What is evaluated with: `propensity` and `label` say with what probability an item was shown, and what came of it.
pub const LOGGED: Layout = Layout {
    input: "interactions",
    required: &[Role::User, Role::Item, Role::Timestamp],
    optional: &[Role::Weight, Role::Quantity, Role::Propensity, Role::Label],
};

/// Items with their texts, for a model that was trained without pictures.
pub const ITEMS: Layout =
    Layout { input: "items", required: &[Role::Item, Role::Text], optional: &[Role::Price, Role::LaunchedAt] };

/// Items with their texts and pictures, for training and for a model that was trained with pictures. To such a model an
/// item may have a picture alone.
pub const PICTURED_ITEMS: Layout =
    Layout { input: ITEMS.input, required: ITEMS.required, optional: &[Role::Image, Role::Price, Role::LaunchedAt] };

/// Users; with `item_id` a row is a piece of a user's history, and `weight` says how much it counts.
pub const USERS: Layout = Layout { input: "users", required: &[Role::User], optional: &[Role::Item, Role::Weight] };

/// What users said that they like.
pub const LIKED: Layout = Layout { input: "liked", required: &[Role::User, Role::Item], optional: &[] };

/// What users said that they do not like.
pub const DISLIKED: Layout = Layout { input: "disliked", ..LIKED };

/// Users, and what they said.
pub const ASKED: &[Layout] = &[USERS, LIKED, DISLIKED];

/// The users of an experiment.
pub const EXPERIMENT: Layout =
    Layout { input: "users", required: &[Role::Variant, Role::Outcome], optional: &[Role::Before] };

/// What was shown by chance, with known probabilities, and what another policy would have shown.
pub const CHOICES: Layout = Layout {
    input: "interactions",
    required: &[Role::Target, Role::Propensity, Role::Label],
    optional: &[Role::User, Role::Item, Role::Predicted, Role::PredictedTarget],
};

/// Gives every sub-query the columns of its layout. `columns` are the columns that have other names than their roles;
/// `model` is whose ids the ids must be like, where there is a model already.
///
/// # Errors
/// A column is missing, or of a type that cannot be read; a name is given for a column that is nowhere. Messages name
/// function, sub-query, column, type and cure.
pub fn read(
    function: &str,
    inputs: &Inputs<LogicalPlan>,
    layouts: &[Layout],
    columns: &BTreeMap<String, String>,
    model: Option<(&ModelInfo, Ids)>,
) -> Result<Inputs<LogicalPlan>> {
    let mut reader = Reader { function, columns, model, found: Vec::new() };
    let plans = inputs.iter().filter_map(|(input, plan)| {
        let layout = layouts.iter().find(|layout| layout.input == input)?;
        Some(reader.project(layout, plan))
    });
    let plans = plans.collect::<Result<Vec<_>>>()?;
    let read = inputs.replace(plans);
    if let Some((role, column)) =
        columns.iter().find(|(role, _)| !reader.found.iter().any(|found| found.name() == *role))
    {
        return plan_err!(
            "{function}: columns names '{column}' for '{role}', which no sub-query here has; leave it out"
        );
    }
    if model.is_none() {
        reader.check_alike(&read)?;
    }
    Ok(read)
}

struct Reader<'a> {
    function: &'a str,
    columns: &'a BTreeMap<String, String>,
    model: Option<(&'a ModelInfo, Ids)>,
    found: Vec<Role>,
}

impl Reader<'_> {
    fn project(&mut self, layout: &Layout, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let mut exprs = Vec::new();
        let fields = plan.schema().fields();
        let name_of = |role: Role| self.columns.get(role.name()).map_or(role.name(), String::as_str);
        let pictured = layout.optional.contains(&Role::Image) && position(fields, name_of(Role::Image)).is_some();
        for role in layout.required.iter().chain(layout.optional).copied() {
            let wanted = name_of(role);
            let Some(place) = position(fields, wanted) else {
                // A model is told enough by a picture; what is trained is the encoder of texts, too.
                let replaced = role == Role::Text && pictured && self.model.is_some();
                if layout.required.contains(&role) && !replaced {
                    let (function, input, name) = (self.function, layout.input, role.name());
                    return plan_err!(
                        "{function}: {input} has {}; select one AS {name}, or name it with columns => '{name}=...'",
                        no_column(fields, wanted)
                    );
                }
                continue;
            };
            let (qualifier, field) = plan.schema().qualified_field(place);
            let data_type = self.type_of(layout.input, role, field)?;
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            exprs.push(cast(column, data_type).alias(role.name()));
            self.found.push(role);
        }
        LogicalPlanBuilder::from(plan.clone()).project(exprs)?.build()
    }

    /// The type that a column is handed over in.
    fn type_of(&self, input: &str, role: Role, field: &Field) -> Result<DataType> {
        let found = field.data_type();
        let wrong = |expected: &str, cure: String| -> DataFusionError {
            let (function, column) = (self.function, field.name());
            plan_datafusion_err!("{function}: column '{column}' of {input} is {found}, and {expected}; write {cure}")
        };
        let as_sql = |sql: &str| format!("CAST({0} AS {sql}) AS {0}", field.name());
        match role {
            Role::User | Role::Item => {
                let class = IdType::of(found);
                let (which, wanted) = match (role, self.model) {
                    (Role::User, Some((_, ids))) => ("user", Some(ids.user)),
                    (Role::User, None) => ("user", None),
                    (_, Some((_, ids))) => ("item", Some(ids.item)),
                    (_, None) => ("item", None),
                };
                match (class, wanted, self.model) {
                    (Some(class), Some(wanted), Some((model, _))) if class != wanted => {
                        let expected = format!(
                            "the {which} ids of model '{}' are {wanted} ({})",
                            model.reference(),
                            wanted.data_type()
                        );
                        Err(wrong(&expected, as_sql(wanted.sql())))
                    }
                    (Some(class), ..) => Ok(class.data_type()),
                    (None, wanted, _) => {
                        let cast = as_sql(wanted.unwrap_or(IdType::Text).sql());
                        Err(wrong(
                            &wanted.map_or("ids are integers or text".to_string(), |wanted| {
                                format!("the {which} ids of the model are {wanted} ({})", wanted.data_type())
                            }),
                            cast,
                        ))
                    }
                }
            }
            Role::Text if is_text(found) => Ok(DataType::Utf8View),
            Role::Text => Err(wrong("a text is text", as_sql("VARCHAR"))),
            Role::Image if found.is_null() || Modality::of(found) == Some(Modality::Bytes) => Ok(DataType::BinaryView),
            Role::Image => {
                let cure = format!("read_file({0}) AS {0} if it holds the paths of files", field.name());
                Err(wrong("a picture is the bytes of its file", cure))
            }
            Role::Timestamp | Role::LaunchedAt => match found {
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => {
                    Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
                }
                number if number.is_numeric() => Err(wrong(
                    "what it counts is not known",
                    format!("to_timestamp_seconds({0}) AS {0} if it counts seconds", field.name()),
                )),
                _ => Err(wrong("a moment is a timestamp or a date", as_sql("TIMESTAMP"))),
            },
            Role::Variant => match found {
                DataType::Boolean | DataType::Null => Ok(DataType::Utf8),
                known if IdType::of(known).is_some() => Ok(DataType::Utf8),
                _ => Err(wrong("the name of a variant is text", as_sql("VARCHAR"))),
            },
            _ => match found {
                DataType::Boolean | DataType::Null => Ok(DataType::Float64),
                number if number.is_numeric() => Ok(DataType::Float64),
                _ => Err(wrong(&format!("{} is a number", role.name()), as_sql("DOUBLE"))),
            },
        }
    }

    /// Fails unless the ids of items are alike in all sub-queries.
    fn check_alike(&self, read: &Inputs<LogicalPlan>) -> Result<()> {
        let id = |(input, plan): (&'static str, &LogicalPlan)| {
            let field = plan.schema().field_with_unqualified_name(Role::Item.name()).ok()?;
            Some((input, field.data_type().clone()))
        };
        let found: Vec<_> = read.iter().filter_map(id).collect();
        match found.as_slice() {
            [(first, a), (second, b), ..] if a != b => plan_err!(
                "{}: item_id is {a} in {first} and {b} in {second}, and the same item has the same id in both; \
                 cast one of them",
                self.function
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
