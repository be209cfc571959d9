//! What DataFusion does not plan in statements about the catalog: takes a statement; changes it to one that means the same
//! for the tables that Debut has.
//!
//! - `LIKE pattern ESCAPE '/'`: the engine knows the backslash only.
//! - `CASE WHEN ... THEN (SELECT ...)`: NULL. Such sub-queries ask for defaults, identities and the parts of composite types,
//!   which no table and no type of Debut has.
//! - `(struct).field`: `get_field`.
//! - `unnest(conkey)`, `_pg_expandarray(indkey)` and their like: NULL. No table of Debut has keys or indexes, so that no row is asked.
//! - `ARRAY(SELECT ...)`: `array_agg`, which is NULL and not an empty array where there is no row; and NULL at once over what has
//!   none here (policies, the parts of an array in a column).
//! - `(SELECT x FROM ... WHERE of the outer row)`: `first_value(x)`, because it must be an aggregate; there is one row at most.
//! - `col_description(...)`: NULL, whatever is asked: no column has a comment.
//! - `indisprimary = 'f'`: a truth is not compared with a text.
//! - two columns without a name that say the same, such as NULL twice: named apart.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, OrderByKind,
    Query, Select, SelectItem, SetExpr, Statement, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
    visit_expressions, visit_expressions_mut,
};

/// Columns of `pg_constraint` and `pg_index` that number the columns of a key.
const KEYS: &[&str] = &["conkey", "confkey", "indkey", "indclass", "indcollation", "indoption"];

/// Stands for a doubled escape character while the single ones are changed; no name has it.
const DOUBLED: &str = "\u{1}";

/// Tables without rows here, which ARRAY(SELECT ...) reads in ways that cannot be planned.
const EMPTY: &[&str] = &["pg_policies", "pg_policy"];

/// Functions of which one row comes.
const AGGREGATES: &[&str] =
    &["array_agg", "avg", "bool_and", "bool_or", "count", "first_value", "max", "min", "string_agg", "sum"];

/// Changes a statement.
pub(super) fn rewrite(statement: &mut Statement) {
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr| {
        if let Expr::Case { conditions, else_result, .. } = expr {
            let results = conditions.iter_mut().map(|when| &mut when.result);
            let mut nothing_left = true;
            for result in results.chain(else_result.as_deref_mut()) {
                if matches!(result, Expr::Subquery(_)) {
                    *result = Expr::value(Value::Null);
                }
                nothing_left &= matches!(result, Expr::Value(ValueWithSpan { value: Value::Null, .. }));
            }
            if nothing_left {
                *expr = Expr::value(Value::Null);
            }
        }
        if let Expr::Function(function) = expr
            && let Some(other) = of_a_key(function).or_else(|| array(function)).or_else(|| comment(function))
        {
            *expr = other;
        }
        if let Expr::Subquery(query) = expr {
            aggregate(query);
        }
        if let Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } = expr
            && is_truth_of_index(left)
            && let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(letter), .. }) = right.as_ref()
            && matches!(letter.as_str(), "t" | "f")
        {
            **right = Expr::value(Value::Boolean(letter == "t"));
        }
        if let Expr::CompoundFieldAccess { root, access_chain } = expr
            && let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice()
        {
            *expr = call("get_field", [root.as_ref().clone(), text(&field.value)]);
        }
        if let Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } = expr
            && let Some(ValueWithSpan { value: Value::SingleQuotedString(escape), .. }) = escape_char
            && escape.chars().count() == 1
            && escape != "\\"
        {
            let doubled = escape.repeat(2);
            let steps = [("\\", "\\\\"), (&doubled, DOUBLED), (escape, "\\"), (DOUBLED, escape)];
            let written = pattern.as_ref().clone();
            let changed =
                steps.iter().fold(written, |pattern, (from, to)| call("replace", [pattern, text(from), text(to)]));
            **pattern = changed;
            *escape_char = None;
        }
        ControlFlow::Continue(())
    });
    // Last, because what was changed to NULL is called so, too.
    let _: ControlFlow<()> = VisitMut::visit(statement, &mut Names);
}

/// What a function gives that takes the numbers of a key's columns apart: nothing, of the type that it has.
fn of_a_key(function: &Function) -> Option<Expr> {
    let name = function.name.0.last().and_then(|part| part.as_ident())?;
    let FunctionArguments::List(arguments) = &function.args else { return None };
    let column = match arguments.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column))) => column,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(names))) => names.last()?,
        _ => return None,
    };
    if !KEYS.contains(&column.value.as_str()) {
        return None;
    }
    match name.value.as_str() {
        "unnest" | "generate_subscripts" => Some(null(DataType::SmallInt(None))),
        // A number, and where it stands.
        "_pg_expandarray" => {
            let (x, n) = (null(DataType::SmallInt(None)), null(DataType::Integer(None)));
            Some(call("named_struct", [text("x"), x, text("n"), n]))
        }
        _ => None,
    }
}

/// Whether an expression is a column such as `indisprimary`.
fn is_truth_of_index(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    name.is_some_and(|name| name.value.starts_with("indis"))
}

/// `ARRAY(SELECT ...)`.
fn array(function: &Function) -> Option<Expr> {
    let (true, FunctionArguments::Subquery(query)) = (is_called(function, &["array"]), &function.args) else {
        return None;
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] = select.projection.as_slice()
    else {
        return None;
    };
    // An array in a column of the catalog is always NULL here.
    let column = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let is_empty = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args, .. } => {
            let last = name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase());
            let first = args.as_ref().and_then(|arguments| arguments.args.first());
            let of_column = matches!(first, Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) if column(expr));
            last.is_some_and(|name| EMPTY.contains(&name.as_str()) || name == "unnest" && of_column)
        }
        TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().all(column),
        _ => false,
    };
    if select.from.iter().any(|from| is_empty(&from.relation)) {
        return Some(null(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None))));
    }
    let mut query = query.clone();
    let mut gathered = call("array_agg", [item.clone()]);
    if let (Expr::Function(gathered), Some(order)) = (&mut gathered, query.order_by.take())
        && let (FunctionArguments::List(arguments), OrderByKind::Expressions(order)) = (&mut gathered.args, order.kind)
    {
        // A number is a column's, and there is one.
        let order = order.into_iter().map(|mut by| {
            if matches!(by.expr, Expr::Value(_)) {
                by.expr = item.clone();
            }
            by
        });
        arguments.clauses.push(FunctionArgumentClause::OrderBy(order.collect()));
    }
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::UnnamedExpr(gathered)];
    }
    Some(Expr::Subquery(query))
}

/// What comments columns.
fn comment(function: &Function) -> Option<Expr> {
    is_called(function, &["col_description"]).then(|| null(DataType::Text))
}

/// Makes a query that gives one value at most one that is sure to.
fn aggregate(query: &mut Query) {
    if query.limit_clause.is_some() || query.fetch.is_some() || query.order_by.is_some() {
        return;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    if grouped || select.having.is_some() || select.distinct.is_some() || select.from.is_empty() {
        return;
    }
    if !is_correlated(select) {
        return;
    }
    if let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_mut_slice()
    {
        let mut aggregated = false;
        let _: ControlFlow<()> = visit_expressions(item, |expr| {
            aggregated |= matches!(expr, Expr::Function(function) if is_called(function, AGGREGATES));
            ControlFlow::Continue(())
        });
        if !aggregated {
            *item = call("first_value", [item.clone()]);
        }
    }
}

/// Whether a query names a table that is not its own.
fn is_correlated(select: &Select) -> bool {
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let own: Vec<&str> = factors
        .filter_map(|factor| match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                Some(alias.name.value.as_str())
            }
            TableFactor::Table { name, .. } => Some(name.0.last()?.as_ident()?.value.as_str()),
            _ => None,
        })
        .collect();
    visit_expressions(select, |expr| match expr {
        Expr::CompoundIdentifier(names) if !own.contains(&names[0].value.as_str()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

fn is_called(function: &Function, names: &[&str]) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| names.contains(&name.value.to_lowercase().as_str()))
}

/// Names columns apart.
struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            let mut seen: Vec<String> = Vec::new();
            for item in &mut select.projection {
                let SelectItem::UnnamedExpr(expr) = item else { continue };
                // The engine calls a column by what stands in a cast.
                let named = match &*expr {
                    Expr::Cast { expr: inner, .. } => inner.as_ref(),
                    other => other,
                };
                let said = named.to_string();
                let same = seen.iter().filter(|other| **other == said).count();
                if same > 0 {
                    let alias = Ident::with_quote('"', format!("{said}_{same}"));
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
                seen.push(said);
            }
        }
        ControlFlow::Continue(())
    }
}

fn null(data_type: DataType) -> Expr {
    let expr = Box::new(Expr::value(Value::Null));
    Expr::Cast { kind: CastKind::Cast, expr, data_type, array: false, format: None }
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_string()))
}

fn call<const N: usize>(name: &str, arguments: [Expr; N]) -> Expr {
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
