//! What is refused, and how it is named.

use super::*;

#[test]
fn mistakes_in_tables_are_named_before_and_after_planning() {
    let named = |kind, tables: &Tables, pairs: &[(&str, &str)]| {
        let options = Options { columns: columns(pairs), ..options(kind) };
        let planned = check(&options, &tables.map(|table| Arc::clone(&table.schema))).unwrap_err().to_string();
        assert_eq!(planned, failure(tables, &options));
        planned
    };
    let labelled = examples(vec![("text", texts(["a"])), ("labels", numbers([1]))]);
    for (kind, tables, columns, expected) in [
        (BCE, &labelled, &[][..], "objective 'bce' reads interactions and items, and not examples"),
        (CLASSIFICATION, &small_shop(), &[], "objective 'classification' needs examples =>"),
        (
            CLASSIFICATION,
            &labelled,
            &[],
            "'examples' has no column 'label' for the role 'label'; did you mean 'labels'?",
        ),
        (
            CLASSIFICATION,
            &labelled,
            &[("label", "labels"), ("user_id", "x")],
            "columns gives a column for 'user_id', which objective 'classification' does not read",
        ),
        (
            Objective::Regression,
            &labelled,
            &[("text", "labels"), ("label", "text")],
            "column 'labels' (text) is of type Int64, but must be a text",
        ),
    ] {
        let message = named(kind, tables, columns);
        assert!(message.contains(expected), "{message}");
    }
    let both = Tables { examples: labelled.examples.clone(), ..small_shop() };
    assert!(named(BCE, &both, &[]).contains("and not examples; leave it out"));
    let timeless = examples(vec![("text", texts(["a", "b"])), ("label", numbers([1, 2]))]);
    for (split, expected) in [(Split::Time, "needs a column 'timestamp'"), (Split::Last, "there are no users")] {
        let message = failure(&timeless, &Options { split, ..options(Objective::Regression) });
        assert!(message.contains(expected), "{message}");
    }
    for (options, expected) in [
        (
            Options { validation: 1.0, ..options(Objective::Regression) },
            "validation = 1: must be a share between 0 and 0.9",
        ),
        (Options { validation: f64::NAN, ..options(Objective::Regression) }, "validation = NaN"),
        (Options { replay: -0.5, ..options(Objective::Regression) }, "replay = -0.5: must be a share of 0 or more"),
    ] {
        let message = failure(&timeless, &options);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn mistakes_in_rows_are_named() {
    let nulls = |values: &[Option<&str>]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let four = || texts(["a", "b", "c", "d"]);
    let empty = StringArray::from(Vec::<&str>::new());
    for (kind, columns, expected) in [
        (
            CLASSIFICATION,
            vec![("text", Arc::new(empty.clone()) as ArrayRef), ("label", Arc::new(empty) as ArrayRef)],
            "'examples' has no rows",
        ),
        (
            CLASSIFICATION,
            vec![("text", nulls(&[None; 4])), ("label", four())],
            "column 'text' (text) is NULL in all 4 rows",
        ),
        (
            CLASSIFICATION,
            vec![("text", four()), ("label", nulls(&[Some("x"), None, Some("y"), None]))],
            "column 'label' (label) is NULL in 2 of 4 rows, first in row 2; leave such rows out with WHERE label IS NOT NULL",
        ),
        (CLASSIFICATION, vec![("text", four()), ("label", texts(["x"; 4]))], "all 4 examples have the label 'x'"),
        (
            CLASSIFICATION,
            vec![("text", four()), ("label", texts(["x", "y", "z", "z"]))],
            "there are 3 different labels but only 4 examples; is 'label' the right column?",
        ),
        (
            Objective::Regression,
            vec![("text", four()), ("label", numbers([7; 4]))],
            "all 4 examples have the label '7'",
        ),
        (
            Objective::Regression,
            vec![("text", four()), ("label", floats([1.0, f64::INFINITY, 2.0, 3.0]))],
            "not finite numbers; the first is 'inf' in row 2",
        ),
        (
            Objective::Similarity,
            vec![("text", four()), ("text_b", four()), ("label", numbers([0, 1, 5, 4]))],
            "has 2 values that are not between -1 and 1",
        ),
        (
            Objective::Regression,
            vec![("text", four()), ("label", numbers([1, 2, 3, 4])), ("weight", floats([1.0, -1.0, 1.0, 1.0]))],
            "column 'weight' (weight) has 1 values that are not finite numbers of 0 or more; the first is '-1' in row 2",
        ),
        (
            Objective::Regression,
            vec![("text", four()), ("label", numbers([1, 2, 3, 4])), ("weight", floats([0.0; 4]))],
            "all are 0",
        ),
        (
            CONTRASTIVE,
            vec![("text", four()), ("positive", four())],
            "none of the 4 rows has a text and another, positive text",
        ),
    ] {
        let message = failure(&examples(columns), &options(kind));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn unknown_items_are_left_out_and_all_unknown_are_an_error() {
    let items =
        || vec![("sku", texts(["1", "2", "3", "1", "1"])), ("text", texts(["one", "two", "three", "uno", "uno"]))];
    let of = |ids: [i64; 5]| shop(vec![("user_id", numbers([1, 1, 1, 2, 3])), ("sku", numbers(ids))], items());
    let options = Options { columns: columns(&[("item_id", "sku")]), validation: 0.0, ..options(BCE) };
    let dataset = Dataset::build(&of([1, 2, 9, 3, 8]), &options).unwrap();
    assert_eq!(interactions(&dataset).text.len(), 3);
    // The text that most rows have, not the first.
    assert_eq!(distinct(&dataset).iter().flatten().collect::<Vec<_>>(), ["uno", "two", "three"]);
    assert!(
        dataset.notes.iter().any(
            |note| note.contains("2 of 5 interactions name an item that 'items' lacks (the first is '9' in row 3)")
        ),
        "{:?}",
        dataset.notes
    );
    assert!(
        dataset.notes.iter().any(|note| note.contains("1 other texts of items are not used")),
        "{:?}",
        dataset.notes
    );
    let message = failure(&of([7; 5]), &options);
    assert!(
        message.contains("none of the 5 interactions has its item in 'items' (the first looks for '7')"),
        "{message}"
    );
    // One user, one item each: no pairs. Every user has all: nothing to draw.
    let single = failure(&of([1, 1, 1, 2, 3]), &Options { objective: CONTRASTIVE, ..options.clone() });
    assert!(single.contains("none of 3 users has two items with different texts"), "{single}");
    let full = shop(vec![("user_id", numbers([1, 1])), ("sku", numbers([1, 2]))], items());
    assert!(failure(&full, &options).contains("Every user has every item"));
}
