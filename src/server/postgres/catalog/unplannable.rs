//! What DataFusion does not plan in statements about the catalog: takes a statement; changes it to one that means the same
//! for the tables that Debut has.
//!
//! - `LIKE pattern ESCAPE '/'`: the engine knows the backslash only.
//! - `CASE WHEN ... THEN (SELECT ...)`: NULL. Such sub-queries ask for defaults, identities and the parts of composite types,
//!   which no table and no type of Debut has.
//! - `unnest(conkey)`, `generate_subscripts(indkey, 1)`: NULL. No table of Debut has keys or indexes, so that no row is asked.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Statement, Value, ValueWithSpan, visit_expressions_mut,
};

/// Columns of `pg_constraint` and `pg_index` that number the columns of a key.
const KEYS: &[&str] = &["conkey", "confkey", "indkey", "indclass", "indcollation", "indoption"];

/// Stands for a doubled escape character while the single ones are changed; no name has it.
const DOUBLED: &str = "\u{1}";

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
            && numbers_a_key(function)
        {
            *expr = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::value(Value::Null)),
                data_type: DataType::SmallInt(None),
                array: false,
                format: None,
            };
        }
        if let Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } = expr
            && let Some(ValueWithSpan { value: Value::SingleQuotedString(escape), .. }) = escape_char
            && escape.chars().count() == 1
            && escape != "\\"
        {
            let doubled = escape.repeat(2);
            let steps = [("\\", "\\\\"), (&doubled, DOUBLED), (escape, "\\"), (DOUBLED, escape)];
            let written = pattern.as_ref().clone();
            let changed = steps.iter().fold(written, |pattern, (from, to)| replace(pattern, from, to));
            **pattern = changed;
            *escape_char = None;
        }
        ControlFlow::Continue(())
    });
}

/// Whether a function takes the numbers of a key's columns apart.
fn numbers_a_key(function: &Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    let takes_apart = name.is_some_and(|name| ["unnest", "generate_subscripts"].contains(&name.value.as_str()));
    let FunctionArguments::List(arguments) = &function.args else { return false };
    let column = match arguments.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(column)))) => Some(column),
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(names)))) => names.last(),
        _ => None,
    };
    takes_apart && column.is_some_and(|column| KEYS.contains(&column.value.as_str()))
}

/// `replace(text, from, to)`.
fn replace(text: Expr, from: &str, to: &str) -> Expr {
    let literal = |text: &str| Expr::value(Value::SingleQuotedString(text.to_string()));
    let arguments = [text, literal(from), literal(to)];
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("replace")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
