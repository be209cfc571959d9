//! What examples are made of rows.

use super::*;

#[test]
fn classes_are_found_in_columns_of_any_type() {
    let titles = ["mug", "cup", "hat", "cap", "mug"];
    let text: [ArrayRef; 4] = [
        texts(titles),
        Arc::new(LargeStringArray::from_iter_values(titles)),
        Arc::new(StringViewArray::from_iter_values(titles)),
        Arc::new(DictionaryArray::<Int32Type>::from_iter(titles)),
    ];
    let label: [(ArrayRef, [&str; 2]); 4] = [
        (texts(["b", "b", "a", "a", "b"]), ["a", "b"]),
        (numbers([2, 2, 1, 1, 2]), ["1", "2"]),
        (Arc::new(BooleanArray::from(vec![true, true, false, false, true])), ["false", "true"]),
        (Arc::new(DictionaryArray::<Int32Type>::from_iter(["b", "b", "a", "a", "b"])), ["a", "b"]),
    ];
    let mut fingerprints = HashSet::new();
    for text in &text {
        for (label, names) in &label {
            let tables = examples(vec![("title", Arc::clone(text)), ("kind", Arc::clone(label))]);
            let columns = columns(&[("text", "title"), ("label", "kind")]);
            let dataset =
                Dataset::build(&tables, &Options { columns, validation: 0.0, ..options(CLASSIFICATION) }).unwrap();
            let classes = classes(&dataset);
            assert_eq!(classes.labels, names);
            let mut found = classes
                .input
                .iter()
                .zip(&classes.class)
                .map(|(text, class)| (distinct(&dataset).value(*text as usize).to_owned(), *class))
                .collect::<Vec<_>>();
            found.sort();
            let expected = [("cap", 0), ("cup", 1), ("hat", 0), ("mug", 1), ("mug", 1)];
            assert_eq!(found, expected.map(|(text, class)| (text.to_owned(), class)));
            assert_eq!((distinct(&dataset).len(), dataset.train.len()), (4, 5));
            fingerprints.insert(dataset.fingerprint);
        }
    }
    // The values count, not how they are stored: 'a' and 'b', 1 and 2, false and true.
    assert_eq!(fingerprints.len(), 3);
}

#[test]
fn a_user_has_each_text_once_at_its_first_time_with_all_its_weight() {
    let tables = shop(
        vec![
            ("user_id", texts(["u", "u", "u", "v"])),
            ("item_id", texts(["a", "a", "b", "c"])),
            ("weight", floats([1.0, 2.0, 1.0, 1.0])),
            ("timestamp", numbers([5, 2, 3, 4])),
        ],
        vec![("item_id", texts(["a", "b", "c"])), ("text", texts(["A", "B", "C"]))],
    );
    let dataset = Dataset::build(&tables, &Options { validation: 0.0, ..options(BCE) }).unwrap();
    let found = interactions(&dataset);
    assert_eq!((found.user.as_slice(), found.weight.as_slice()), (&[0, 0, 1][..], &[3.0, 1.0, 1.0][..]));
    assert_eq!((found.users, found.pool.len(), found.label.len()), (2, 3, 0));
    // The last is the one that was bought for the first time last: 'b' at 3, not 'a' at 2 and again at 5.
    let dataset = Dataset::build(&tables, &Options { split: Split::Last, ..options(BCE) }).unwrap();
    let found = interactions(&dataset);
    let held_out =
        dataset.validation.iter().map(|example| distinct(&dataset).value(found.text[*example as usize] as usize));
    // 'c' is all that v has, so that v is not trained on.
    assert_eq!(held_out.collect::<Vec<_>>(), ["B"]);
    assert_eq!((dataset.train.len(), found.users), (1, 1));
    assert!(dataset.notes.iter().any(|note| note.contains("1 of 2 held out examples are of users who have no others")));
}

#[test]
fn labels_of_interactions_are_probabilities() {
    let items = || vec![("item_id", texts(["a", "b", "c"])), ("text", texts(["A", "B", "C"]))];
    let of = |label: ArrayRef| {
        shop(vec![("user_id", numbers([1, 1, 2])), ("item_id", texts(["a", "b", "c"])), ("label", label)], items())
    };
    let all = Options { validation: 0.0, ..options(BCE) };
    let labels: [ArrayRef; 4] = [
        numbers([1, 0, 1]),
        floats([1.0, 0.0, 1.0]),
        Arc::new(BooleanArray::from(vec![true, false, true])),
        texts(["yes", " 0 ", "True"]),
    ];
    for label in labels {
        let dataset = Dataset::build(&of(label), &all).unwrap();
        assert_eq!(interactions(&dataset).label, [1.0, 0.0, 1.0]);
        assert_eq!([0, 1].map(|user| interactions(&dataset).has.of(user).len()), [1, 1]);
    }
    let ranking = Dataset::build(&of(numbers([1, 0, 1])), &Options { validation: 0.0, ..options(BPR) }).unwrap();
    assert_eq!((interactions(&ranking).user.len(), interactions(&ranking).label.len()), (2, 0));
    for (label, expected) in [
        (numbers([0, 0, 0]), "there are no positive examples: all 3 labels in 'label' are below 0.5"),
        (numbers([1, 1, 1]), "all 3 examples have the label '1'"),
        (
            numbers([1, 5, 0]),
            "column 'label' (label) has 1 values that are not between 0 and 1, true or false; the first is '5' in row 2",
        ),
        (
            texts(["1", "maybe", "perhaps"]),
            "has 2 values that are not numbers, true or false; the first is 'maybe' in row 2",
        ),
        (floats([f64::NAN, 1.0, 0.0]), "the first is 'NaN' in row 1"),
        (Arc::new(Int64Array::from(vec![Some(1), None, None])), "is NULL in 2 of 3 rows, first in row 2"),
    ] {
        let message = failure(&of(label), &all);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn pairs_are_of_one_user_and_capped() {
    let dataset = Dataset::build(&small_shop(), &Options { pairs_per_user: 4, ..options(CONTRASTIVE) }).unwrap();
    let pairs = pairs(&dataset);
    assert_eq!(pairs.anchor.len(), 40);
    assert!(dataset.notes.iter().any(|note| note.contains("10 of 10 users have more than 4 pairs")));
    let mut turned = HashSet::new();
    for pair in 0..pairs.anchor.len() {
        let (anchor, positive, user) = (pairs.anchor[pair], pairs.positive[pair], pairs.group[pair]);
        assert!(anchor != positive && pairs.has.contains(user, anchor) && pairs.has.contains(user, positive));
        turned.insert(anchor < positive);
    }
    assert_eq!(turned.len(), 2, "both directions occur");
    let key = |pair: &u32| {
        let (a, b) = (pairs.anchor[*pair as usize], pairs.positive[*pair as usize]);
        (a.min(b), a.max(b))
    };
    let trained = dataset.train.iter().map(key).collect::<HashSet<_>>();
    assert!(!dataset.validation.is_empty() && dataset.validation.iter().map(key).all(|pair| !trained.contains(&pair)));
}

#[test]
fn pairs_of_examples_have_hard_negatives() {
    let tables = examples(vec![
        (
            "text",
            Arc::new(StringArray::from(vec![Some("tea"), Some("tea"), Some("hat"), None, Some("x"), Some("cup")])),
        ),
        (
            "positive",
            Arc::new(StringArray::from(vec![Some("pot"), Some("mug"), Some("cap"), Some("p"), Some("x"), None])),
        ),
        ("negative", Arc::new(StringArray::from(vec![Some("mug"), Some("car"), None, None, None, None]))),
    ]);
    let dataset = Dataset::build(&tables, &Options { validation: 0.0, ..options(CONTRASTIVE) }).unwrap();
    let pairs = pairs(&dataset);
    let text = |row: u32| distinct(&dataset).value(row as usize);
    let found = (0..pairs.anchor.len())
        .map(|pair| (text(pairs.anchor[pair]), text(pairs.positive[pair]), pairs.negative[pair].map(text)));
    // 'mug' belongs to 'tea' in another row: no negative for it.
    let expected = [("hat", "cap", None), ("tea", "mug", Some("car")), ("tea", "pot", None)];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(dataset.notes.len(), 3, "{:?}", dataset.notes);
    assert!(dataset.notes[0].contains("2 of 6 examples have no text or no positive text"));
}
