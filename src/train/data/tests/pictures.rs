//! Examples of pictures.

use arrow::array::{BinaryArray, BinaryDictionaryBuilder, BinaryViewArray, LargeBinaryArray};

use super::*;

const FILES: [Option<&[u8]>; 6] =
    [Some(b"\xff mug"), Some(b"cup"), None, Some(b"hat"), Some(b"cap"), Some(b"\xff mug")];

fn of_pictures(objective: Objective) -> Options {
    Options { base: "eyes@1".into(), modality: Modality::Bytes, validation: 0.0, ..options(objective) }
}

#[test]
fn pictures_are_found_in_columns_of_any_type() {
    let mut dictionary = BinaryDictionaryBuilder::<Int32Type>::new();
    FILES.iter().for_each(|file| dictionary.append_option(*file));
    let columns: [ArrayRef; 4] = [
        Arc::new(BinaryArray::from_iter(FILES)),
        Arc::new(LargeBinaryArray::from_iter(FILES)),
        Arc::new(BinaryViewArray::from_iter(FILES)),
        Arc::new(dictionary.finish()),
    ];
    let mut fingerprints = HashSet::new();
    for column in columns {
        // A text beside the picture is of no consequence.
        let tables = examples(vec![
            ("image", column),
            ("text", texts(["a", "b", "c", "d", "e", "f"])),
            ("label", texts(["b", "b", "b", "a", "a", "b"])),
        ]);
        let dataset = Dataset::build(&tables, &of_pictures(CLASSIFICATION)).unwrap();
        let InputColumn::Pictures(pictures) = &dataset.inputs else { panic!("{:?}", dataset.inputs) };
        let classes = classes(&dataset);
        let found = classes.input.iter().zip(&classes.class).map(|(input, class)| {
            (pictures.bytes.value(*input as usize).to_vec(), pictures.rows[*input as usize], *class)
        });
        let mut found = found.collect::<Vec<_>>();
        found.sort();
        // Equal pictures are one, of the first row that has it.
        let expected: [(&[u8], u32, u32); 5] =
            [(b"cap", 5, 0), (b"cup", 2, 1), (b"hat", 4, 0), (b"\xff mug", 1, 1), (b"\xff mug", 1, 1)];
        assert_eq!(found, expected.map(|(file, row, class)| (file.to_vec(), row, class)));
        assert_eq!((dataset.inputs.len(), dataset.train.len()), (4, 5));
        assert!(dataset.notes.iter().any(|note| note == "1 of 6 examples have no picture"), "{:?}", dataset.notes);
        fingerprints.insert(dataset.fingerprint);
    }
    assert_eq!(fingerprints.len(), 1);
}

#[test]
fn numbers_are_of_pictures_too_in_any_order() {
    let build = |order: [usize; 4]| {
        let files = ["mug", "cup", "hat", "cap"].map(str::as_bytes);
        let tables = examples(vec![
            ("picture", Arc::new(BinaryArray::from_iter_values(order.map(|place| files[place]))) as ArrayRef),
            ("label", floats(order.map(|place| place as f64))),
        ]);
        let columns = columns(&[("image", "picture")]);
        Dataset::build(&tables, &Options { columns, ..of_pictures(Objective::Regression) }).unwrap()
    };
    let (first, second) = (build([0, 1, 2, 3]), build([2, 0, 3, 1]));
    assert_eq!((&first.examples, &first.fingerprint), (&second.examples, &second.fingerprint));
    let (InputColumn::Pictures(a), InputColumn::Pictures(b)) = (&first.inputs, &second.inputs) else { panic!() };
    assert_eq!(a.bytes, b.bytes);
    assert_ne!(a.rows, b.rows);
}

#[test]
fn of_a_text_and_a_picture_one_is_enough() {
    let titles = [Some("a"), None, None, Some(""), None, Some("a")];
    let tables = examples(vec![
        ("image", Arc::new(BinaryArray::from_iter(FILES)) as ArrayRef),
        ("text", Arc::new(StringArray::from_iter(titles)) as ArrayRef),
        ("label", texts(["b", "b", "b", "a", "a", "b"])),
    ]);
    let options = Options { modality: Modality::TextAndBytes, ..of_pictures(CLASSIFICATION) };
    let dataset = Dataset::build(&tables, &options).unwrap();
    let InputColumn::Pairs(column) = &dataset.inputs else { panic!("{:?}", dataset.inputs) };
    let found = classes(&dataset).input.iter().map(|input| {
        let [text, picture] = column.pairs[*input as usize];
        let picture = picture.map(|picture| column.pictures.bytes.value(picture as usize).to_vec());
        (text.map(|text| column.texts.value(text as usize)), picture)
    });
    let mut found = found.collect::<Vec<_>>();
    found.sort();
    let expected: [(Option<&str>, &[u8]); 5] =
        [(None, b"cap"), (None, b"cup"), (Some(""), b"hat"), (Some("a"), b"\xff mug"), (Some("a"), b"\xff mug")];
    assert_eq!(found, expected.map(|(text, file)| (text, Some(file.to_vec()))));
    // Equal pairs are one.
    assert_eq!((dataset.inputs.len(), dataset.train.len()), (4, 5));
    for note in ["1 of 6 examples have neither a text nor a picture", "2 of 6 examples have a picture alone"] {
        assert!(dataset.notes.iter().any(|known| known == note), "{:?}", dataset.notes);
    }
}

#[test]
fn texts_with_pictures_have_both() {
    let titles = [Some("a"), Some("b"), Some("c"), Some(""), None, Some("b")];
    let tables = examples(vec![
        ("image", Arc::new(BinaryArray::from_iter(FILES)) as ArrayRef),
        ("text", Arc::new(StringArray::from_iter(titles)) as ArrayRef),
        ("weight", floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])),
    ]);
    let options = Options { modality: Modality::TextAndBytes, ..of_pictures(CONTRASTIVE) };
    let dataset = Dataset::build(&tables, &options).unwrap();
    let InputColumn::Pairs(column) = &dataset.inputs else { panic!("{:?}", dataset.inputs) };
    let Examples::TextImages(pairs) = &dataset.examples else { panic!("{:?}", dataset.examples) };
    let found = (0..pairs.input.len()).map(|example| {
        let (text, image) = (pairs.text[example], pairs.image[example]);
        assert_eq!(column.pairs[pairs.input[example] as usize], [Some(text), Some(image)]);
        let file = column.pictures.bytes.value(image as usize).to_vec();
        (column.texts.value(text as usize), file, pairs.weight[example], pairs.has.of(text).len())
    });
    let mut found = found.collect::<Vec<_>>();
    found.sort_by(|a, b| a.2.total_cmp(&b.2));
    let expected: [(&str, &[u8], f32, usize); 4] =
        [("a", b"\xff mug", 1.0, 1), ("b", b"cup", 2.0, 2), ("", b"hat", 4.0, 1), ("b", b"\xff mug", 6.0, 2)];
    assert_eq!(found, expected.map(|(text, file, weight, has)| (text, file.to_vec(), weight, has)));
    assert_eq!(dataset.notes, ["2 of 6 examples have no text or no picture"]);
}

#[test]
fn what_the_base_does_not_read_is_named() {
    let files: ArrayRef = Arc::new(BinaryArray::from_iter_values(["mug", "cup", "hat", "cap"].map(str::as_bytes)));
    let label = || ("label", texts(["a", "a", "b", "b"]));
    let text = || ("text", texts(["mug", "cup", "hat", "cap"]));
    for (tables, options, expected) in [
        (
            examples(vec![text(), label()]),
            of_pictures(CLASSIFICATION),
            "base 'eyes@1' reads pictures, from a column 'image' of 'examples', which has a column 'text' instead",
        ),
        (
            examples(vec![("image", Arc::clone(&files)), label()]),
            options(CLASSIFICATION),
            "base 'base@1' reads texts, from a column 'text' of 'examples', which has a column 'image' instead",
        ),
        (
            examples(vec![("picture", Arc::clone(&files)), label()]),
            of_pictures(CLASSIFICATION),
            "'examples' has no column 'image' for the role 'image'",
        ),
        (
            examples(vec![("image", texts(["a", "b", "c", "d"])), label()]),
            of_pictures(CLASSIFICATION),
            "column 'image' (image) is of type Utf8, but must be the bytes of a picture's file",
        ),
        (
            small_shop(),
            of_pictures(CONTRASTIVE),
            "objective 'contrastive' learns from texts, and base 'eyes@1' reads pictures",
        ),
        (
            examples(vec![("image", Arc::new(BinaryArray::from_iter([None::<&[u8]>; 4])) as ArrayRef), label()]),
            of_pictures(CLASSIFICATION),
            "column 'image' (image) is NULL in all 4 rows",
        ),
        (
            examples(vec![
                ("image", Arc::clone(&files)),
                ("label", Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("b")])) as ArrayRef),
            ]),
            of_pictures(CLASSIFICATION),
            "column 'label' (label) is NULL in 1 of 4 rows, first in row 2",
        ),
    ] {
        let message = failure(&tables, &options);
        assert!(message.contains(expected), "{message}");
    }
}
