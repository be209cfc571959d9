//! A recommender with pictures, in SQL: customers buy by the colour of what they see, and the titles say nothing of it.

use std::io::Cursor;

use debut::engine::Session;
use image::{ImageFormat, Rgb, RgbImage};
use tempfile::TempDir;

use super::{BOUGHT, PRODUCTS, fails, number, page, rows, session, support, text};

/// Plain pictures, as PNG in SQL: mostly red for items of kind 0, green for 1, blue for 2.
fn picture(item: usize) -> String {
    let mut pixel = [(item * 7 % 60) as u8, (item * 11 % 60) as u8, (item * 13 % 60) as u8];
    pixel[item % 3] += 190;
    let mut png = Cursor::new(Vec::new());
    RgbImage::from_pixel(4, 4, Rgb(pixel)).write_to(&mut png, ImageFormat::Png).unwrap();
    let digits = png.get_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("X'{digits}'")
}

/// A shop with pictures of all but each tenth item, and the model `color`.
async fn shop() -> (TempDir, Session) {
    let home = support::small_home();
    support::pictures::add_color_model(home.path());
    let session = session(&home);
    let pictures = (1..=120).map(|item| match item % 10 {
        0 => format!("({item}, NULL)"),
        _ => format!("({item}, {})", picture(item)),
    });
    let pictures = pictures.collect::<Vec<_>>().join(", ");
    // The kind is not in the text.
    rows(
        &session,
        &format!(
            "SET debut.image_model = 'color';
             CREATE TABLE bought AS {BOUGHT};
             CREATE TABLE products AS SELECT p.item_id, 'thing number ' || p.item_id AS text, p.price, p.launched_at, f.image
                 FROM ({PRODUCTS}) p JOIN (VALUES {pictures}) AS f(item_id, image) ON f.item_id = p.item_id;
             CREATE TABLE launches AS SELECT * FROM products WHERE launched_at >= '2025-08-01'"
        ),
    )
    .await;
    (home, session)
}

fn train(model: &str, image: &str, more: &str) -> String {
    format!(
        "SELECT * FROM finetune(model => '{model}', base => 'small', objective => 'recommend', epochs => 1, factors => 8,
         neighbours => 10, window => 50, publish => 'always', {more}
         interactions => (SELECT * FROM bought WHERE timestamp < '2025-08-01'),
         items => (SELECT item_id, text{image}, price, launched_at FROM products WHERE launched_at < '2025-08-01'))"
    )
}

/// The lists of everybody, as one text.
async fn lists(session: &Session, model: &str, items: &str) -> String {
    let sql = format!(
        "SELECT string_agg(line, ' ' ORDER BY line) FROM (SELECT user_id || ':' || rank || ':' || item_id || ':' ||
         round(probability, 6) AS line FROM recommend(model => '{model}', k => 5, items => ({items})))"
    );
    text(session, &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn taste_that_only_pictures_show_is_learned() {
    let (home, session) = shop().await;
    rows(&session, &train("texts", "", "")).await;
    rows(&session, &format!("CREATE TABLE trained AS {}", train("seen", ", image", ""))).await;
    let said = text(&session, "SELECT message FROM trained WHERE version = 'seen@1'").await;
    assert!(said.contains("picture_"), "{said}");
    // What was left out is told, and each component of pictures has a weight and is on the page.
    let notes = "SELECT run FROM debut.training_runs WHERE published = 'seen@1'";
    let page = page(&home, &text(&session, notes).await);
    for part in
        ["picture_profile", "picture_knn", "picture_factors", "items have no picture and are known by their text"]
    {
        assert!(page.contains(part), "{part}");
    }
    let weight = |model: &str, name: &str| {
        format!(
            "SELECT sum(value) FROM debut.metrics m JOIN debut.training_runs r USING (run)
             WHERE r.published = '{model}@1' AND m.name LIKE 'weight/{name}%'"
        )
    };
    assert!(number(&session, &weight("seen", "picture_")).await > 0.3);
    let none = weight("texts", "picture_").replace("sum(value)", "count(*)");
    assert_eq!(number(&session, &none).await, 0.0);

    // New items that were taken are found by their pictures.
    let columns = "item_id, text, image, price, launched_at";
    rows(
        &session,
        &format!(
            "CREATE TABLE result AS SELECT * FROM evaluate(model => 'seen', against => 'texts', k => 10, resamples => 200,
             components => true, since => '2025-08-01', interactions => (SELECT * FROM bought),
             items => (SELECT {columns} FROM products))"
        ),
    )
    .await;
    let recall = |method: &str, value: &str| {
        format!(
            "SELECT min({value}) FROM result WHERE method = '{method}' AND candidates = 'new' AND metric = 'recall'
             AND week IS NULL"
        )
    };
    let (seen, texts) =
        (number(&session, &recall("seen@1", "value")).await, number(&session, &recall("texts@1", "value")).await);
    assert!(seen > 1.5 * texts, "{seen} with pictures, {texts} by texts alone");
    assert!(number(&session, &recall("seen@1 - texts@1", "ci_low")).await > 0.0);
    assert!(number(&session, &recall("picture_knn", "value")).await > texts);

    // Who buys a kind is shown that kind, and an item is shown to those who buy its kind.
    let right = "SELECT avg(CASE WHEN item_id % 3 = user_id % 3 THEN 1.0 ELSE 0.0 END) FROM ";
    let slates = format!(
        "{right} recommend(model => 'seen', k => 3, items => (SELECT {columns} FROM launches WHERE image IS NOT NULL))"
    );
    assert!(number(&session, &slates).await > 0.8);
    let buyers = format!(
        "{right} audience(model => 'seen', k => 10, items => (SELECT {columns} FROM launches WHERE image IS NOT NULL))"
    );
    assert!(number(&session, &buyers).await > 0.8);
    // A picture alone is enough, with a text that is NULL and with none.
    for items in ["item_id, CAST(NULL AS VARCHAR) AS text, image", "item_id, image"] {
        let slates = slates.replace(columns, items);
        assert!(number(&session, &slates).await > 0.8, "{items}");
    }
    // Known by the other where one is missing; left out where both are.
    let bare = "SELECT count(DISTINCT item_id) FROM recommend(model => 'seen', k => 100, items => (
        SELECT item_id, CASE WHEN item_id % 2 = 0 THEN text END AS text, CASE WHEN item_id % 3 = 0 THEN image END AS image
        FROM launches WHERE image IS NOT NULL))";
    let left = "SELECT count(*) FROM launches WHERE image IS NOT NULL AND (item_id % 2 = 0 OR item_id % 3 = 0)";
    assert_eq!(number(&session, bare).await, number(&session, left).await);

    // Without pictures the texts rank alone, whether there is a column or not.
    let plain = lists(&session, "seen", "SELECT item_id, text, price FROM launches").await;
    let nulls =
        lists(&session, "seen", "SELECT item_id, text, price, CAST(NULL AS BYTEA) AS image FROM launches").await;
    assert_eq!(nulls, plain);
    // A model that was trained without pictures does not look at them, whatever they are.
    let plain = lists(&session, "texts", "SELECT item_id, text, price FROM launches").await;
    let strange = lists(&session, "texts", "SELECT item_id, text, price, 'a.jpg' AS image FROM launches").await;
    assert_eq!(strange, plain);
    fails(
        &session,
        "SELECT * FROM recommend(model => 'texts', items => (SELECT item_id, image FROM launches))",
        "items has no column 'text'",
    )
    .await;

    // Every form of bytes is one, under whatever name.
    let binary = lists(&session, "seen", "SELECT item_id, text, image FROM launches").await;
    for other in ["LargeBinary", "BinaryView", "Dictionary(Int32, Binary)"] {
        let items = format!("SELECT item_id, text, arrow_cast(image, '{other}') AS image FROM launches");
        assert_eq!(lists(&session, "seen", &items).await, binary, "{other}");
    }
    let renamed =
        "SELECT string_agg(item_id || '', ' ' ORDER BY user_id, rank) FROM recommend(model => 'seen', k => 5, {}
        items => (SELECT item_id, text, image AS {as} FROM launches))";
    let named = renamed.replace("{}", "columns => 'image=photo',").replace("{as}", "photo");
    let plain = renamed.replace("{}", "").replace("{as}", "image");
    assert_eq!(text(&session, &named).await, text(&session, &plain).await);

    // The items of the training data have their pictures with the model, which outlives the one that it was made with.
    rows(&session, "DROP MODEL color").await;
    assert!(number(&session, &slates).await > 0.8);
    let unsold = |items: &str| {
        format!(
            "SELECT count(*) || ' ' || string_agg(user_id || ':' || item_id || ':' || round(probability, 5), ' '
             ORDER BY user_id, item_id) FROM recommend(model => 'seen', k => 100, only_new => true{items})"
        )
    };
    let said = format!(", items => (SELECT {columns} FROM products WHERE launched_at < '2025-08-01')");
    assert_eq!(text(&session, &unsold("")).await, text(&session, &unsold(&said)).await);

    mistakes(&session).await;
}

/// What is said of pictures that cannot be read.
async fn mistakes(session: &Session) {
    let broken =
        "SELECT item_id, text, CASE WHEN item_id = 113 THEN X'3c68746d6c3e' ELSE image END AS image FROM launches";
    for call in [
        format!("recommend(model => 'seen', items => ({broken}))"),
        format!("audience(model => 'seen', items => ({broken}))"),
        format!("evaluate(model => 'seen', interactions => (SELECT * FROM bought), items => ({broken}))"),
    ] {
        let function = call.split('(').next().unwrap();
        let message = format!(
            "{function}: the picture of item 113 cannot be read: it is text ('<html>'), not a picture; give NULL in its place"
        );
        fails(session, &format!("SELECT * FROM {call}"), &message).await;
    }
    fails(
        session,
        "SELECT * FROM recommend(model => 'seen', items => (SELECT item_id, text, 'a.jpg' AS image FROM launches))",
        "recommend: column 'image' of items is Utf8, and a picture is the bytes of its file; write read_file(image) AS image",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_with_pictures_are_found_before_the_training() {
    let (_home, session) = shop().await;
    let explain = |image: &str, more: &str| format!("EXPLAIN {}", train("bad", image, more));
    fails(
        &session,
        &explain("", "image_base => 'color',"),
        "finetune: image_base names 'color', and items has no column 'image' of pictures",
    )
    .await;
    fails(
        &session,
        &explain(", image", "image_base => 'small',"),
        "finetune: 'small@1' reads text, and the pictures of items need a model that reads bytes",
    )
    .await;
    fails(&session, &explain(", image", "image_base => 'nobody',"), "nobody").await;
    fails(
        &session,
        "EXPLAIN SELECT * FROM finetune(model => 'bad', base => 'small', objective => 'bce', image_base => 'color',
         interactions => (SELECT * FROM bought), items => (SELECT * FROM products))",
        "image_base works only with objective => 'recommend'",
    )
    .await;
    fails(
        &session,
        &train("bad", ", CASE WHEN item_id = 12 THEN X'00' ELSE image END AS image", ""),
        "finetune: the picture of item 12 cannot be read",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_goes_on_with_the_pictures_of_the_version_in_use() {
    let (_home, session) = shop().await;
    rows(&session, &train("seen", ", image", "image_base => 'color@1',")).await;
    rows(&session, &train("texts", "", "")).await;
    let go_on = |model: &str, image: &str, more: &str| {
        format!(
            "SELECT * FROM finetune(model => '{model}', since => 'last', objective => 'recommend', epochs => 1, factors => 8,
             neighbours => 10, publish => 'always', {more} interactions => (SELECT * FROM bought),
             items => (SELECT item_id, text{image}, price, launched_at FROM products))"
        )
    };
    fails(
        &session,
        &go_on("texts", ", image", ""),
        "since => 'last' goes on from texts@1, which was trained without pictures; leave the column image out",
    )
    .await;
    fails(&session, &go_on("seen", "", ""), "since => 'last': seen@1 ranks by picture_").await;
    fails(
        &session,
        &go_on("seen", ", image", "image_base => 'small',"),
        "which was trained with color@1, and this call says image_base => 'small'; leave image_base out",
    )
    .await;
    // The model of pictures is a copy, which needs no other.
    rows(&session, "DROP MODEL color").await;
    rows(&session, &go_on("seen", ", image", "")).await;
    let right = "SELECT avg(CASE WHEN item_id % 3 = user_id % 3 THEN 1.0 ELSE 0.0 END)
                 FROM recommend(model => 'seen@2', k => 3, items => (SELECT item_id + 3000 AS item_id, text, image FROM launches
                 WHERE image IS NOT NULL))";
    assert!(number(&session, right).await > 0.8);
}
