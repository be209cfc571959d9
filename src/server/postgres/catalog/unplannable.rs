//! What DataFusion does not plan in statements about the catalog: takes a statement; changes it to one that means the same
//! for the tables that Debut has.
//!
//! - `LIKE pattern ESCAPE '/'`: the engine knows the backslash only.
//! - `CASE WHEN ... THEN (SELECT ...)`: NULL. Such sub-queries ask for defaults, identities and the parts of composite types,
//!   which no table and no type of Debut has.
//! - `(struct).field`: `get_field`.
//! - `unnest(conkey)`, `_pg_expandarray(indkey)` and their like: NULL. No table of Debut has keys or indexes, so that no row is asked.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Statement, Value, ValueWithSpan, visit_expressions_mut,
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
            && let Some(nothing) = of_a_key(function)
        {
            *expr = nothing;
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
