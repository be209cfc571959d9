//! Makes the bundled demo shop: a year of an invented shop's products, customers and interactions.
//!
//! Takes the output folder as its only argument; gives `products.parquet`, `pictures.parquet`,
//! `customers.parquet`, `interactions.parquet`, `help.parquet` and `questions.parquet` there, the same on each run. Called by hand,
//! `cargo run --example generate_shop -- data`, and by the test that compares its output with the
//! committed files.
//!
//! Each customer has tastes (themes, kinds, motifs, styles, colours, materials) that nobody sees;
//! what they look at and buy follows those tastes, the products' appeal, their prices and their
//! novelty. Titles and descriptions name the same attributes in varied words, so a product's text
//! tells who will want it before anyone has seen it, which is what Debut is about.
//!
//! Only `+ - * /` are used on floats: unlike `exp` or `powf`, they round alike on every machine.

#[path = "shop/pictures.rs"]
mod pictures;
#[path = "shop/service.rs"]
mod service;
#[path = "shop/text.rs"]
mod text;
#[path = "shop/themes.rs"]
mod themes;

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use text::{Design, Lists, blemish, pick};

const SEED: u64 = 20_250_101;
const PRODUCTS: usize = 2_000;
const CUSTOMERS: usize = 1_500;

/// Times are in microseconds since 1970, UTC.
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 2025-01-01, a Wednesday: the first day with interactions.
const YEAR_START: i64 = 1_735_689_600 * SECOND;
const YEAR_DAYS: i64 = 365;
const YEAR_END: i64 = YEAR_START + YEAR_DAYS * DAY;

/// Launched before the year starts; the rest come on the year's Tuesdays.
const OLD_PRODUCTS: usize = 800;
/// Launched in the year's last two weeks, as (days from the year's start, products): the products
/// that the demo ranks.
const LAST_LAUNCHES: [(i64, usize); 3] = [(356, 24), (363, 26), (364, 12)];
const FIRST_TUESDAY: i64 = 6;
const LAUNCH_WEEKS: i64 = 50;

/// The place of luxe among the styles.
const LUXE: usize = 5;
/// The places of wood, cork and cane among the materials.
const SELDOM_DYED: [usize; 3] = [1, 8, 9];

/// The share of looks that have nothing to do with taste, such as presents and stray clicks.
const STRAY: f64 = 0.06;
const PURCHASE_GIVEN_CART: f64 = 0.45;

struct Product {
    id: i64,
    title: String,
    description: Option<String>,
    category: &'static str,
    brand: Option<&'static str>,
    price: f64,
    launched_at: i64,
    design: Design,
    /// How much it draws all customers, whatever their tastes.
    appeal: f64,
}

/// What a customer likes. Places refer to the word lists.
struct Taste {
    themes: Vec<f64>,
    /// For each theme, how much each kind is liked.
    kinds: Vec<Vec<f64>>,
    /// For each theme, the favourite motif.
    motifs: Vec<usize>,
    styles: [usize; 2],
    colours: [usize; 2],
    materials: [usize; 2],
    /// The price at which a product is half as tempting as if it were free.
    budget: f64,
}

/// A picture of a product.
struct Picture {
    product_id: i64,
    png: Vec<u8>,
}

struct Customer {
    id: i64,
    country: &'static str,
    joined_at: i64,
    taste: Taste,
    visits: usize,
}

struct Interaction {
    timestamp: i64,
    customer: i64,
    product: i64,
    event: &'static str,
    quantity: i32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("usage: generate_shop <output folder>")?;
    let counts = generate(&folder)?;
    println!("{} products, {} customers, {} interactions", counts[0], counts[1], counts[2]);
    Ok(())
}

/// Writes the six files; gives the numbers of products, customers and interactions.
pub(crate) fn generate(folder: &Path) -> Result<[usize; 3], Box<dyn Error>> {
    let lists = Lists {
        themes: themes::themes()?,
        styles: themes::styles()?,
        colours: themes::colours()?,
        materials: themes::materials()?,
    };
    // A stream each, so that a change to one table leaves the others' draws alone.
    let stream = |number| {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        rng.set_stream(number);
        rng
    };
    let products = make_products(&mut stream(1), &lists);
    let customers = make_customers(&mut stream(2), &lists);
    let interactions = simulate(&mut stream(3), &customers, &products);
    let pictures = make_pictures(&mut stream(4), &products)?;
    let articles = service::articles()?;
    let questions = service::questions(&articles)?;
    let asked = ask(&mut stream(5), &customers, questions.len());

    write_products(&folder.join("products.parquet"), &products)?;
    write_pictures(&folder.join("pictures.parquet"), &pictures)?;
    write_customers(&folder.join("customers.parquet"), &customers)?;
    write_interactions(&folder.join("interactions.parquet"), &interactions)?;
    write_help(&folder.join("help.parquet"), &articles)?;
    write_questions(&folder.join("questions.parquet"), &questions, &asked)?;
    Ok([products.len(), customers.len(), interactions.len()])
}

fn make_products(rng: &mut ChaCha8Rng, lists: &Lists) -> Vec<Product> {
    let launches = launch_times(rng);
    let mut products: Vec<_> =
        (10_001..).zip(launches).map(|(id, launched_at)| make_product(rng, lists, id, launched_at)).collect();
    translate_some(rng, lists, &mut products);
    spoil_some(rng, lists, &mut products);
    duplicate_some(rng, &mut products);
    products
}

/// When each product is launched, in ascending order.
fn launch_times(rng: &mut ChaCha8Rng) -> Vec<i64> {
    let late: usize = LAST_LAUNCHES.iter().map(|(_, count)| count).sum();
    let mut times = Vec::with_capacity(PRODUCTS);
    for _ in 0..OLD_PRODUCTS {
        let day = -some_days(rng, 700);
        times.push(launch_on(rng, day));
    }
    for place in 0..PRODUCTS - OLD_PRODUCTS - late {
        let week = place as i64 % LAUNCH_WEEKS;
        times.push(launch_on(rng, FIRST_TUESDAY + 7 * week));
    }
    for (day, count) in LAST_LAUNCHES {
        times.extend((0..count).map(|_| launch_on(rng, day)));
    }
    times.sort_unstable();
    times
}

fn some_days(rng: &mut ChaCha8Rng, days: i64) -> i64 {
    rng.random_range(1..=days)
}

/// Who asks so many questions and when: some each day until the year's last one, in order of time.
fn ask(rng: &mut ChaCha8Rng, customers: &[Customer], questions: usize) -> Vec<(i64, i64)> {
    let days = questions.div_ceil(service::A_DAY);
    let first = YEAR_DAYS - days as i64;
    let mut times: Vec<_> =
        (0..questions).map(|place| launch_on(rng, first + (place / service::A_DAY) as i64)).collect();
    times.sort_unstable();
    let known = |time: i64| customers.partition_point(|customer| customer.joined_at < time);
    times.into_iter().map(|time| (customers[rng.random_range(0..known(time))].id, time)).collect()
}

/// A time in the shop's working hours of a day, counted from the year's start.
fn launch_on(rng: &mut ChaCha8Rng, day: i64) -> i64 {
    YEAR_START + day * DAY + rng.random_range(8 * 60..18 * 60_i64) * 60 * SECOND
}

fn make_product(rng: &mut ChaCha8Rng, lists: &Lists, id: i64, launched_at: i64) -> Product {
    let design = make_design(rng, lists);
    let theme = &lists.themes[design.theme];
    // Luxe costs more, and each product differs.
    let (low, high) = theme.kinds[design.kind].price;
    let luxe = if design.style == Some(LUXE) { 1.3 } else { 1.0 };
    let position: f64 = rng.random::<f64>() * rng.random::<f64>();
    let whole = (f64::from(low) + f64::from(high - low) * position) * luxe;
    let cents = *[0, 50, 90, 95, 99].choose(rng).unwrap_or(&0);
    Product {
        id,
        title: lists.title(rng, &design),
        description: Some(lists.description(rng, &design)),
        category: theme.category,
        brand: Some(design.brand),
        price: (whole.floor() * 100.0 + f64::from(cents)) / 100.0,
        launched_at,
        design,
        appeal: 1.0 / (0.25 + rng.random::<f64>()),
    }
}

fn make_design(rng: &mut ChaCha8Rng, lists: &Lists) -> Design {
    let place = rng.random_range(0..lists.themes.len() as u32) as usize;
    let theme = &lists.themes[place];
    let number = rng.random_range(0..theme.kinds.len() as u32) as usize;
    let kind = &theme.kinds[number];
    let material = kind.materials.choose(rng).copied();
    let material = material.map(|place| (place, pick(rng, &lists.materials[place].words)));
    // What has no material, such as tea, has neither colour nor style.
    let dyed = match material {
        Some((wood_or_grass, _)) if SELDOM_DYED.contains(&wood_or_grass) => 0.3,
        Some(_) => 0.8,
        None => 0.0,
    };
    let styled = material.is_some() && rng.random_bool(0.6);
    let motif = kind.takes_motif && rng.random_bool(0.85);
    let print = kind.printable && rng.random_bool(if motif { 0.2 } else { 0.5 });
    Design {
        theme: place,
        kind: number,
        motif: (motif && !print).then(|| any_of(rng, &theme.motifs)),
        print: if print { borrowed_print(rng, lists, place) } else { None },
        style: styled.then(|| any_of(rng, &lists.styles)),
        colour: if rng.random_bool(dyed) { any_colour(rng, lists) } else { None },
        material,
        brand: pick(rng, &theme.brands),
    }
}

fn any_colour(rng: &mut ChaCha8Rng, lists: &Lists) -> Option<(usize, &'static str)> {
    let place = any_of(rng, &lists.colours);
    Some((place, pick(rng, &lists.colours[place].words)))
}

fn any_of<T>(rng: &mut ChaCha8Rng, table: &[T]) -> usize {
    rng.random_range(0..table.len() as u32) as usize
}

/// A picture that stands for some theme other than the product's own, if the draw finds one.
fn borrowed_print(rng: &mut ChaCha8Rng, lists: &Lists, own: usize) -> Option<(usize, &'static str)> {
    let other = any_of(rng, &lists.themes);
    let print = pick(rng, &lists.themes[other].prints);
    (other != own && !print.is_empty()).then_some((other, print))
}

/// Puts about 4% of the texts into Chinese: both, or the title or the description alone.
fn translate_some(rng: &mut ChaCha8Rng, lists: &Lists, products: &mut [Product]) {
    for product in products {
        let (title, description) = match rng.random_range(0..1_000_u32) {
            0..30 => (true, true),
            30..42 => (true, false),
            42..54 => (false, true),
            _ => continue,
        };
        if title {
            product.title = lists.chinese_title(rng, &product.design);
        }
        if description {
            product.description = Some(lists.chinese_description(rng, &product.design));
        }
    }
}

/// Takes descriptions and brands away, leaves some empty, and damages letters.
fn spoil_some(rng: &mut ChaCha8Rng, lists: &Lists, products: &mut [Product]) {
    let mut order: Vec<_> = (0..products.len()).collect();
    order.shuffle(rng);
    let mut next = order.into_iter();
    for place in next.by_ref().take(60) {
        products[place].description = None;
    }
    for place in next.by_ref().take(14) {
        products[place].description = Some(String::new());
    }
    for place in next.by_ref().take(4) {
        products[place].description = Some(" \n".to_owned());
    }
    for place in next.by_ref().take(3) {
        products[place].description = Some(lists.long_description(rng, &products[place].design));
    }
    for place in next.by_ref().take(12) {
        products[place].brand = None;
    }
    for place in next.by_ref().take(4) {
        products[place].brand = Some("");
    }
    for place in next.by_ref().take(50) {
        products[place].title = blemish(rng, &products[place].title);
    }
    for place in next.by_ref().take(70) {
        let spoilt = products[place].description.as_deref().map(|text| blemish(rng, text));
        products[place].description = spoilt;
    }
    // No title at all is rare, and would look odd among the launches that the demo ranks.
    if let Some(place) = next.find(|place| *place < OLD_PRODUCTS) {
        products[place].title = String::new();
    }
}

/// Lists 1% of the products a second time: the same in all but id and launch.
fn duplicate_some(rng: &mut ChaCha8Rng, products: &mut [Product]) {
    for _ in 0..PRODUCTS / 100 {
        let later = rng.random_range(1..PRODUCTS as u32) as usize;
        let (earlier, rest) = products.split_at_mut(later);
        let (Some(source), Some(copy)) = (earlier.choose(rng), rest.first_mut()) else { continue };
        copy.title.clone_from(&source.title);
        copy.description.clone_from(&source.description);
        copy.category = source.category;
        copy.brand = source.brand;
        copy.price = source.price;
        copy.design = source.design.clone();
    }
}

/// A picture of each product that the shop has photographed: those of its kitchen, but one in twelve.
fn make_pictures(rng: &mut ChaCha8Rng, products: &[Product]) -> Result<Vec<Picture>, Box<dyn Error>> {
    let mut all = Vec::new();
    for product in products {
        let is_missing = rng.random_range(0..12_u32) == 0;
        if let Some(picture) = pictures::picture(rng, &product.design)?.filter(|_| !is_missing) {
            all.push(Picture { product_id: product.id, png: picture });
        }
    }
    Ok(all)
}

fn make_customers(rng: &mut ChaCha8Rng, lists: &Lists) -> Vec<Customer> {
    let joined = |rng: &mut ChaCha8Rng| {
        let day = if rng.random_bool(0.6) { -some_days(rng, 1_000) } else { some_days(rng, 363) };
        YEAR_START + day * DAY + rng.random_range(0..86_400_i64) * SECOND
    };
    let mut times: Vec<_> = (0..CUSTOMERS).map(|_| joined(rng)).collect();
    times.sort_unstable();
    (1..)
        .zip(times)
        .map(|(id, joined_at)| Customer {
            id,
            country: pick(rng, &COUNTRIES),
            joined_at,
            taste: make_taste(rng, lists),
            // A few regulars and many who seldom come by.
            visits: (5.1 / (0.12 + rng.random::<f64>())) as usize,
        })
        .collect()
}

/// Repeated in proportion to their customers.
const COUNTRIES: [&str; 24] = [
    "GB", "GB", "GB", "GB", "GB", "DE", "DE", "DE", "DE", "US", "US", "US", "FR", "FR", "NL", "NL", "CN", "CN", "TW",
    "SE", "DK", "PL", "JP", "PT",
];

fn make_taste(rng: &mut ChaCha8Rng, lists: &Lists) -> Taste {
    let mut themes = vec![0.01; lists.themes.len()];
    for share in [0.6, 0.25, 0.1] {
        themes[any_of(rng, &lists.themes)] += share;
    }
    let liking = |rng: &mut ChaCha8Rng| rng.random::<f64>() * rng.random::<f64>();
    let kinds = lists.themes.iter().map(|theme| theme.kinds.iter().map(|_| liking(rng)).collect());
    let kinds = kinds.collect();
    let motifs = lists.themes.iter().map(|theme| any_of(rng, &theme.motifs)).collect();
    Taste {
        themes,
        kinds,
        motifs,
        styles: [any_of(rng, &lists.styles), any_of(rng, &lists.styles)],
        colours: [any_of(rng, &lists.colours), any_of(rng, &lists.colours)],
        materials: [any_of(rng, &lists.materials), any_of(rng, &lists.materials)],
        budget: *[30.0, 60.0, 60.0, 120.0, 300.0].choose(rng).unwrap_or(&60.0),
    }
}

impl Taste {
    /// How well a product suits the customer among the products of its theme, from 0 to about 1.
    fn fit(&self, design: &Design) -> f64 {
        // What a product does not have neither pleases nor repels.
        let liked = |favourites: &[usize], place: Option<usize>| match place {
            Some(place) if favourites.contains(&place) => 1.0,
            Some(_) => 0.1,
            None => 0.3,
        };
        let motif = self.motifs[design.theme];
        0.05 + 0.35 * self.kinds[design.theme][design.kind]
            + 0.3 * liked(&[motif], design.motif)
            + 0.15 * liked(&self.styles, design.style)
            + 0.1 * liked(&self.colours, design.colour.map(|(place, _)| place))
            + 0.1 * liked(&self.materials, design.material.map(|(place, _)| place))
    }

    /// How often the customer would look at a product if all had the same appeal.
    fn interest(&self, product: &Product) -> f64 {
        let own = self.themes[product.design.theme];
        let theme = match product.design.print {
            Some((other, _)) => 0.65 * own + 0.35 * self.themes[other],
            None => own,
        };
        // The square sharpens: without it tastes would be too faint to see in forty looks.
        let fit = self.fit(&product.design);
        let cost = product.price / self.budget;
        theme * fit * fit / (1.0 + cost * cost)
    }
}

fn simulate(rng: &mut ChaCha8Rng, customers: &[Customer], products: &[Product]) -> Vec<Interaction> {
    let calendar = calendar();
    let mut interactions = Vec::new();
    for customer in customers {
        let interests: Vec<_> = products.iter().map(|item| customer.taste.interest(item)).collect();
        for _ in 0..customer.visits {
            let start = visit_time(rng, &calendar);
            if start > customer.joined_at {
                visit(rng, customer, products, &interests, start, &mut interactions);
            }
        }
    }
    interactions.retain(|interaction| interaction.timestamp < YEAR_END);
    interactions.sort_by_key(|row| (row.timestamp, row.customer, row.product));
    interactions
}

/// The running sum of how busy each day of the year is.
fn calendar() -> Vec<f64> {
    let busy = |day: i64| {
        // The year starts on a Wednesday, so day 3 is a Saturday.
        let weekend = if matches!(day % 7, 3 | 4) { 1.25 } else { 1.0 };
        let season = match day {
            325..357 => 1.8,
            304..325 => 1.3,
            181..243 => 0.85,
            _ => 1.0,
        };
        weekend * season
    };
    running_sum((0..YEAR_DAYS).map(busy))
}

fn running_sum(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |weight| {
        sum += weight;
        sum
    };
    weights.map(add).collect()
}

/// A place drawn in proportion to the weights whose running sum this is.
fn draw(rng: &mut ChaCha8Rng, sums: &[f64]) -> usize {
    let target = rng.random::<f64>() * sums.last().copied().unwrap_or_default();
    sums.partition_point(|sum| *sum <= target)
}

/// Evenings are busier than mornings, and nights are quiet.
fn visit_time(rng: &mut ChaCha8Rng, calendar: &[f64]) -> i64 {
    const HOURS: [i64; 20] = [0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 21, 21, 22];
    let day = draw(rng, calendar) as i64;
    let hour = HOURS.choose(rng).copied().unwrap_or_default();
    let within = rng.random_range(0..3_600_000_i64) * 1_000;
    YEAR_START + day * DAY + hour * 3_600 * SECOND + within
}

/// One visit: a few products looked at, some put in the cart, some bought.
fn visit(
    rng: &mut ChaCha8Rng,
    customer: &Customer,
    products: &[Product],
    interests: &[f64],
    start: i64,
    interactions: &mut Vec<Interaction>,
) {
    // Products are in order of launch, so those on sale come first.
    let on_sale = products.partition_point(|product| product.launched_at < start);
    let pull = |product: &Product| product.appeal * novelty(start - product.launched_at);
    let shown = &products[..on_sale];
    let wanted = running_sum(shown.iter().zip(interests).map(|(item, weight)| weight * pull(item)));
    let mut now = start;
    for _ in 0..rng.random_range(1..=6_u32) {
        let place =
            if rng.random_bool(STRAY) { rng.random_range(0..on_sale as u32) as usize } else { draw(rng, &wanted) };
        let product = &products[place];
        let mut record = |timestamp, event, quantity| {
            let (customer, product) = (customer.id, product.id);
            interactions.push(Interaction { timestamp, customer, product, event, quantity });
        };
        record(now, "view", 1);
        let fit = customer.taste.fit(&product.design);
        if rng.random_bool(0.05 + 0.4 * fit.min(1.0)) {
            let quantity = how_many(rng, product.price);
            now += rng.random_range(10_000..240_000_i64) * 1_000;
            record(now, "cart", quantity);
            if rng.random_bool(PURCHASE_GIVEN_CART) {
                // Most pay at once; some sleep on it.
                let nights = if rng.random_bool(0.15) { some_days(rng, 4) } else { 0 };
                let wait = rng.random_range(60_000..900_000_i64) * 1_000;
                record(now + nights * DAY + wait, "purchase", quantity);
            }
        }
        now += rng.random_range(15_000..300_000_i64) * 1_000;
    }
}

/// How much more a product is looked at while the shop shows it among its new arrivals.
fn novelty(age: i64) -> f64 {
    match age / DAY {
        0..14 => 5.0,
        14..42 => 2.5,
        _ => 1.0,
    }
}

fn how_many(rng: &mut ChaCha8Rng, price: f64) -> i32 {
    let choices: &[i32] = if price < 15.0 { &[1, 1, 1, 2, 2, 3, 4] } else { &[1, 1, 1, 1, 1, 1, 2] };
    choices.choose(rng).copied().unwrap_or(1)
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times))
}

fn numbers(numbers: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(numbers))
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

fn optional_texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(texts.collect::<StringArray>())
}

fn write_products(path: &Path, rows: &[Product]) -> Result<(), Box<dyn Error>> {
    let price = Float64Array::from_iter_values(rows.iter().map(|row| row.price));
    let columns = [
        ("product_id", numbers(rows.iter().map(|row| row.id)), false),
        ("title", texts(rows.iter().map(|row| row.title.as_str())), false),
        ("description", optional_texts(rows.iter().map(|row| row.description.as_deref())), true),
        ("category", texts(rows.iter().map(|row| row.category)), false),
        ("brand", optional_texts(rows.iter().map(|row| row.brand)), true),
        ("price", Arc::new(price), false),
        ("launched_at", times(rows.iter().map(|row| row.launched_at)), false),
    ];
    write(path, columns)
}

fn write_pictures(path: &Path, rows: &[Picture]) -> Result<(), Box<dyn Error>> {
    let images = BinaryArray::from_iter_values(rows.iter().map(|row| &row.png));
    let columns = [
        ("product_id", numbers(rows.iter().map(|row| row.product_id)), false),
        ("image", Arc::new(images) as ArrayRef, false),
    ];
    write(path, columns)
}

fn write_customers(path: &Path, rows: &[Customer]) -> Result<(), Box<dyn Error>> {
    let columns = [
        ("customer_id", numbers(rows.iter().map(|row| row.id)), false),
        ("country", texts(rows.iter().map(|row| row.country)), false),
        ("joined_at", times(rows.iter().map(|row| row.joined_at)), false),
    ];
    write(path, columns)
}

fn write_interactions(path: &Path, rows: &[Interaction]) -> Result<(), Box<dyn Error>> {
    let quantity = Int32Array::from_iter_values(rows.iter().map(|row| row.quantity));
    let columns = [
        ("customer_id", numbers(rows.iter().map(|row| row.customer)), false),
        ("product_id", numbers(rows.iter().map(|row| row.product)), false),
        ("event", texts(rows.iter().map(|row| row.event)), false),
        ("quantity", Arc::new(quantity), false),
        ("timestamp", times(rows.iter().map(|row| row.timestamp)), false),
    ];
    write(path, columns)
}

fn write_help(path: &Path, rows: &[service::Article]) -> Result<(), Box<dyn Error>> {
    let columns = [
        ("article_id", numbers(rows.iter().map(|row| row.id)), false),
        ("topic", texts(rows.iter().map(|row| row.topic)), false),
        ("title", texts(rows.iter().map(|row| row.title)), false),
        ("text", texts(rows.iter().map(|row| row.text)), false),
    ];
    write(path, columns)
}

fn write_questions(path: &Path, rows: &[service::Question], asked: &[(i64, i64)]) -> Result<(), Box<dyn Error>> {
    let articles = Int64Array::from_iter(rows.iter().map(|row| row.article));
    let columns = [
        ("question_id", numbers(1..=rows.len() as i64), false),
        ("customer_id", numbers(asked.iter().map(|(customer, _)| *customer)), false),
        ("asked_at", times(asked.iter().map(|(_, time)| *time)), false),
        ("question", texts(rows.iter().map(|row| row.text)), false),
        ("topic", texts(rows.iter().map(|row| row.topic)), false),
        ("article_id", Arc::new(articles) as ArrayRef, true),
    ];
    write(path, columns)
}

/// Writes one table. Columns are (name, values, nullable).
fn write<const N: usize>(path: &Path, columns: [(&str, ArrayRef, bool); N]) -> Result<(), Box<dyn Error>> {
    let field =
        |(name, values, nullable): &(&str, ArrayRef, bool)| Field::new(*name, values.data_type().clone(), *nullable);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let values = columns.into_iter().map(|(_, values, _)| values).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), values)?;
    // The default names the version of the Parquet crate, which would change the files.
    let properties = WriterProperties::builder()
        .set_created_by("debut demo shop".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(9)?))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
