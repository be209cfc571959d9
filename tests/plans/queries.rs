//! Random queries over the table `items(k, g, t, n)`.
//!
//! Gives SQL in which `@` stands before every function that exists with a model and without. Every relation in a query
//! has the columns of `items`, and `k` is unique in each, so that what a limit inside of a query leaves is determined.

use proptest::prelude::*;

/// What is known of the order of a query's rows.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Nothing.
    Any,
    /// All of it.
    Total,
    /// These columns are the sort keys: their values in each row are determined.
    Keys(Vec<usize>),
    /// This column is random and ascends.
    Ascending(usize),
}

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    select: String,
    limit: String,
    pub(crate) order: Order,
}

impl Query {
    /// With calls of models.
    pub(crate) fn with_models(&self) -> String {
        format!("{}{}", self.select, self.limit).replace('@', "")
    }

    /// With functions that compute the same without a model.
    pub(crate) fn plain(&self) -> String {
        format!("{}{}", self.select, self.limit).replace('@', "plain_")
    }

    /// The same with every row, if it has a limit.
    pub(crate) fn plain_and_unlimited(&self) -> Option<String> {
        (!self.limit.is_empty()).then(|| self.select.replace('@', "plain_"))
    }
}

type Sql = BoxedStrategy<String>;

/// A text over the columns of one relation.
fn text(depth: u32) -> Sql {
    let column = Just("t".to_string());
    if depth == 0 {
        return column.boxed();
    }
    prop_oneof![
        4 => column,
        1 => text(depth - 1).prop_map(|t| format!("upper({t})")),
        1 => text(depth - 1).prop_map(|t| format!("concat({t}, ' x')")),
        1 => text(depth - 1).prop_map(|t| format!("coalesce({t}, 'none')")),
        1 => (condition(depth - 1), text(depth - 1)).prop_map(|(c, t)| format!("CASE WHEN {c} THEN {t} END")),
        1 => number(depth - 1).prop_map(|n| format!("CAST({n} AS VARCHAR)")),
    ]
    .boxed()
}

/// One call of a model.
fn call(depth: u32) -> Sql {
    prop_oneof![
        3 => text(depth).prop_map(|t| format!("@predict({t}, 'numbers')")),
        1 => text(depth).prop_map(|t| format!("@embed({t})[1]")),
        1 => (text(depth), text(depth)).prop_map(|(a, b)| format!("@score({a}, {b}, 'pairs')")),
        1 => text(depth).prop_map(|t| format!("@score('a b', {t}, 'pairs')")),
    ]
    .boxed()
}

fn number(depth: u32) -> Sql {
    if depth == 0 {
        return prop_oneof![Just("n".to_string()), Just("@predict(t, 'numbers')".to_string())].boxed();
    }
    prop_oneof![
        1 => Just("n".to_string()),
        4 => call(depth - 1),
        1 => (number(depth - 1), number(depth - 1)).prop_map(|(a, b)| format!("({a} + {b})")),
        1 => (condition(depth - 1), number(depth - 1), number(depth - 1))
            .prop_map(|(c, a, b)| format!("CASE WHEN {c} THEN {a} ELSE {b} END")),
        1 => (call(depth - 1), call(depth - 1))
            .prop_map(|(a, b)| format!("CASE g WHEN 1 THEN {a} WHEN 2 THEN {b} ELSE n END")),
        // Which branch is taken is random, what it gives is not.
        1 => call(depth - 1).prop_map(|c| format!("CASE WHEN random() < 0.5 THEN {c} ELSE {c} END")),
        1 => (condition(depth - 1), call(depth - 1)).prop_map(|(w, c)| format!(
            "CASE WHEN {w} THEN CASE floor(random() * 3) WHEN 0 THEN {c} WHEN 1 THEN {c} ELSE {c} END ELSE n END"
        )),
        1 => (call(depth - 1), number(depth - 1)).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
    ]
    .boxed()
}

fn condition(depth: u32) -> Sql {
    let plain = prop_oneof![
        Just("g = 1".to_string()),
        Just("t IS NOT NULL".to_string()),
        Just("n > 1.5".to_string()),
        // Always true, which no rule may know.
        Just("random() < 2".to_string()),
    ];
    if depth == 0 {
        return plain.boxed();
    }
    prop_oneof![
        1 => plain,
        4 => (number(depth - 1), 0..4).prop_map(|(n, least)| format!("{n} > {least}.25")),
        1 => (condition(depth - 1), condition(depth - 1)).prop_map(|(a, b)| format!("({a} AND {b})")),
        1 => (condition(depth - 1), condition(depth - 1)).prop_map(|(a, b)| format!("({a} OR {b})")),
        1 => condition(depth - 1).prop_map(|c| format!("NOT ({c})")),
    ]
    .boxed()
}

fn direction() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" DESC"), Just(" NULLS FIRST"), Just(" DESC NULLS LAST")]
}

fn key() -> impl Strategy<Value = String> {
    let expr = prop_oneof![
        2 => prop_oneof![Just("g".to_string()), Just("n".to_string()), Just("t".to_string())],
        2 => number(1),
        1 => text(1),
    ];
    // DataFusion cannot merge partitions by a random key and a second one; random keys alone are tried below.
    let expr = expr.prop_filter("random", |expr| !expr.contains("random"));
    (expr, direction()).prop_map(|(expr, direction)| format!("{expr}{direction}"))
}

fn limit() -> impl Strategy<Value = String> {
    (0..30, prop_oneof![3 => Just(0), 1 => 0..5]).prop_map(|(limit, offset)| match offset {
        0 => format!(" LIMIT {limit}"),
        offset => format!(" LIMIT {limit} OFFSET {offset}"),
    })
}

/// A relation with the columns of `items`.
fn relation(depth: u32) -> Sql {
    let items = Just("SELECT k, g, t, n FROM items".to_string());
    if depth == 0 {
        return items.boxed();
    }
    let one = move || relation(depth - 1);
    let few = move || {
        (relation(depth - 1), 1..6).prop_map(|(r, few)| format!("SELECT * FROM ({r}) AS f ORDER BY k LIMIT {few}"))
    };
    let join = prop_oneof![Just("JOIN"), Just("LEFT JOIN"), Just("RIGHT JOIN"), Just("FULL JOIN")];
    let on = prop_oneof![
        Just("l.k = r.k"),
        Just("l.k = r.k AND @predict(l.t, 'numbers') > 1"),
        Just("l.k = r.k AND @score(l.t, r.t, 'pairs') > 0.4"),
        Just("l.g = r.g AND l.n < @predict(r.t, 'numbers')"),
        Just("@predict(l.t, 'numbers') = @predict(r.t, 'numbers')"),
        Just("@score(l.t, r.t, 'pairs') > 0.4"),
    ];
    let within = prop_oneof![
        Just("k IN (SELECT r.k FROM (@@) AS r)"),
        Just("k NOT IN (SELECT r.k FROM (@@) AS r)"),
        Just("EXISTS (SELECT 1 FROM (@@) AS r WHERE r.g = q.g)"),
        Just("EXISTS (SELECT 1 FROM (@@) AS r WHERE r.k = q.k AND @predict(r.t, 'numbers') > 1)"),
        Just("NOT EXISTS (SELECT 1 FROM (@@) AS r WHERE r.k = q.k AND @score(q.t, r.t, 'pairs') > 0.6)"),
    ];
    let groups = prop_oneof![
        Just("g, @@"),
        Just("ROLLUP (g, @@)"),
        Just("CUBE (@@, g)"),
        Just("GROUPING SETS ((g), (@@), (@@, g))"),
    ];
    prop_oneof![
        1 => items,
        3 => (one(), text(2), number(2))
            .prop_map(|(r, t, n)| format!("SELECT k, g, {t} AS t, CAST({n} AS DOUBLE) AS n FROM ({r}) AS q")),
        3 => (one(), condition(2)).prop_map(|(r, c)| format!("SELECT * FROM ({r}) AS q WHERE {c}")),
        3 => (one(), prop::collection::vec(key(), 0..3), limit()).prop_map(|(r, mut keys, limit)| {
            keys.push("k".to_string());
            format!("SELECT * FROM ({r}) AS q ORDER BY {}{limit}", keys.join(", "))
        }),
        2 => (one(), join, few(), on).prop_map(|(l, join, r, on)| format!(
            "SELECT row_number() OVER (ORDER BY l.k, r.k) AS k, coalesce(l.g, r.g) AS g, r.t AS t, l.n AS n \
             FROM ({l}) AS l {join} ({r}) AS r ON {on}"
        )),
        1 => (one(), one(), within)
            .prop_map(|(q, r, within)| format!("SELECT * FROM ({q}) AS q WHERE {}", within.replace("@@", &r))),
        2 => (one(), one()).prop_map(|(a, b)| format!(
            "SELECT k * 2 AS k, g, t, n FROM ({a}) AS a UNION ALL SELECT k * 2 + 1 AS k, g, t, n FROM ({b}) AS b"
        )),
        1 => (one(), groups, call(1), call(1)).prop_map(|(r, groups, group, m)| {
            // DataFusion gives the totals of grouping sets in parts where a filter fixes a key or the input is sorted by one: it
            // takes them for sorted too.
            let groups = if r.contains("g = 1") || r.contains("ORDER BY") { "g, @@" } else { groups };
            let set = if groups.starts_with('g') { "0" } else { "grouping(@@) * 2 + grouping(g)" };
            format!(
                "SELECT row_number() OVER (ORDER BY s, g, x) AS k, g, CAST(c AS VARCHAR) AS t, m AS n FROM (\
                 SELECT g, @@ AS x, count(*) AS c, CAST(max({m}) AS DOUBLE) AS m, {set} AS s FROM ({r}) AS q \
                 GROUP BY {groups}) AS a"
            )
            .replace("@@", &group)
        }),
        1 => (one(), number(1), number(1)).prop_map(|(r, n, by)| format!(
            "SELECT k, g, t, max(CAST({n} AS DOUBLE)) OVER (PARTITION BY g ORDER BY {by}, k) AS n FROM ({r}) AS q"
        )),
        1 => one().prop_map(|r| format!("SELECT DISTINCT k, g, t, n FROM ({r}) AS q")),
    ]
    .boxed()
}

/// A query whose rows can be checked.
pub(crate) fn queries() -> impl Strategy<Value = Query> {
    // Most are small, so that many are tried in little time.
    let inner = || prop_oneof![3 => relation(1), 2 => relation(2), 1 => relation(3)];
    let maybe_limit = || prop_oneof![Just(String::new()), limit().boxed()];
    let shape = (number(2), text(1), call(1));
    let select = move |relation: &str, order: &str, (x, y, z): &(String, String, String)| match order {
        "" => format!("SELECT k * 3 AS a, {x} AS x, {y} AS y, {z} AS z FROM ({relation}) AS q"),
        order => format!("SELECT k * 3 AS a, {x} AS x, {y} AS y, {z} AS z FROM ({relation}) AS q ORDER BY {order}"),
    };
    prop_oneof![
        1 => (inner(), shape.clone(), maybe_limit()).prop_map(move |(r, shape, limit)| Query {
            select: select(&r, "", &shape),
            limit,
            order: Order::Any,
        }),
        // Keys that are not selected, and one that makes the order total.
        3 => (inner(), shape.clone(), prop::collection::vec(key(), 0..3), maybe_limit()).prop_map(
            move |(r, shape, mut keys, limit)| {
                keys.push("k".to_string());
                Query { select: select(&r, &keys.join(", "), &shape), limit, order: Order::Total }
            },
        ),
        3 => (inner(), shape.clone(), direction(), direction(), maybe_limit()).prop_map(
            move |(r, shape, first, second, limit)| Query {
                select: select(&r, &format!("x{first}, y{second}"), &shape),
                limit,
                order: Order::Keys(vec![1, 2]),
            },
        ),
        1 => (inner(), shape.clone(), maybe_limit()).prop_map(move |(r, (_, y, z), limit)| Query {
            select: select(&r, "x", &("random()".to_string(), y, z)),
            limit,
            order: Order::Ascending(1),
        }),
        1 => (inner(), shape, maybe_limit()).prop_map(move |(r, shape, limit)| Query {
            select: select(&r, "random()", &shape),
            limit,
            order: Order::Any,
        }),
    ]
}
