//! Writes the demo shop's titles and descriptions, and spoils some of them as real shops do.
//!
//! Takes a product's [`Design`] and the word lists of `themes.rs`; gives English or Chinese text
//! that names the design's attributes in varied words. Called by `generate.rs` only.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::themes::{Kind, Look, Number, Theme};

/// What a product is, before anyone has put it into words.
#[derive(Clone)]
pub(crate) struct Design {
    pub(crate) theme: usize,
    pub(crate) kind: usize,
    pub(crate) motif: Option<usize>,
    /// A picture borrowed from another theme: that theme and the word for it.
    pub(crate) print: Option<(usize, &'static str)>,
    pub(crate) style: Option<usize>,
    /// The colour and the one word that all texts about the product use for it: a shop that calls
    /// a thing a cup here and a mug there is lively, one that has it in navy and cobalt is wrong.
    pub(crate) colour: Option<(usize, &'static str)>,
    /// The material, likewise.
    pub(crate) material: Option<(usize, &'static str)>,
    pub(crate) brand: &'static str,
}

/// All word lists.
pub(crate) struct Lists {
    pub(crate) themes: Vec<Theme>,
    pub(crate) styles: Vec<Look>,
    pub(crate) colours: Vec<Look>,
    pub(crate) materials: Vec<Look>,
}

/// The shortest a "very long" description may be, in words.
const LONG_WORDS: usize = 620;

const MODELS: [&str; 24] = [
    "Alder", "Bexley", "Calla", "Dune", "Elsie", "Fjord", "Gustav", "Hazel", "Iona", "Juniper", "Kestrel", "Linnea",
    "Marlow", "Nilo", "Otto", "Pilar", "Quill", "Runa", "Sorrel", "Tove", "Umbra", "Vera", "Willa", "Yuki",
];

const PLACES: [&str; 12] = [
    "Porto",
    "Gdańsk",
    "Leeds",
    "Kyoto",
    "Aarhus",
    "Lyon",
    "Ghent",
    "Oaxaca",
    "Tallinn",
    "Graz",
    "Jingdezhen",
    "Malmö",
];

const TITLES: &str = "
{style} {thing}
{style} {material} {thing}
{style} {colour} {thing}
{style} {thing} with {short}
{colour} {material} {thing}
{colour} {thing} with {short}
{material} {thing}
{material} {thing} with {short}
{material} {thing}, {style}
{thing} in {colour} {stuff}
{thing} in {colour}
{thing} – {colour}
{thing} with {short}
{thing}, {stuff}
{model} {thing}
{model} {thing} in {stuff}
{model} {material} {thing}, {colour}
{model} – {style} {thing}
{brand} {thing}
{brand} {model} {thing}
{brand} {style} {thing}
set of {count} {things}
set of {count} {material} {things}
set of {count} {things}, {colour}
{thing}";

const OPENERS: &str = "
{a} {style} {thing} {scene}, with {feature}.
{a} {style} {thing} {scene}.
{a} {material} {thing} {scene}.
{a} {colour} {thing} in {stuff}, with {feature}.
{a} {thing} with {feature} and {feature2}.
{a} {thing} {scene}.
{this} {material} {thing} {has} {feature}.
{this} {style} {thing} {comes} with {feature} and {feature2}.
looking for {a} {thing} {scene}? [Look no further|Here {it} {is}|You have just found {them}].
we spent [a year|two winters|eleven prototypes] getting {this} {thing} right.
{colour} {stuff}, {feature}: {a} {thing} {scene}.
{brand} makes {this} {thing} from {stuff} in a [small workshop|former dairy|converted mill] near {place}.
designed in {place} {scene}: {a} {style} {thing} with {feature}.
[at last|finally], {a} {thing} with {feature}.
our {style} answer to the [ordinary|usual] {thing}, {scene}.
the [best-loved|newest|most requested] {thing} from {brand}, now in {colour}.
picture {a} {colour} {thing} {scene}.
if you like {style} things, you will love {this} {thing}.
give {this} {thing} to [a friend|your sister|a colleague|yourself]; [made|meant|just right] {scene}.
[customers kept asking|you asked] for {a} {thing} with {feature}, so here {it} {is}.
in short: {stuff}, {colour}, {feature}.
[honest|plain|good] {stuff} and {feature} make {this} {thing} [a keeper|hard to put down].
some [days|evenings|Mondays] call for {a} [good|proper|decent] {thing}.
{a} {thing} [you will reach for every day|we keep coming back to], {scene}.
there is [nothing like|no substitute for] {a} {thing} with {feature}.
back [in stock|by request]: the {thing} from {brand}.
{a} small-batch {thing} from {place}, [made|meant] {scene}.
what happens when {style} design meets {a} everyday {thing}? This.
not just any {thing}: {this} {comes} in {colour} {stuff}.";

const FOLLOWERS: &str = "
{it} {has} {spare}.
you also get {spare}.
made of {stuff} [from start to finish|throughout].
comes in {colour}.
[especially good|at its best|highly recommended] {scene}.
the look is {style}, the {stuff} is real.
packed by hand in {place}.
sent without any plastic.
[thirty|sixty] days to change your mind.
a [lovely|welcome|sensible] present, too.
from {brand}, who have done little else since [1987|2009|2016].";

const PRINTED: &str = "
[printed|decorated|screen-printed] with [a row of|small|hand-drawn] {prints}.
look closely and you will find {prints} all over.
{prints} [march|wander|tumble] across the front.";

const CHINESE_TITLES: &str = "
{style}{thing}
{colour}{stuff}{thing}
{style}{stuff}{thing}
{thing}（{colour}）
{brand} {style}{thing}
{stuff}{thing} {colour}款
{thing}";

const CHINESE_LINES: &str = "
这款{thing}采用{stuff}制作，{scene}。
{style}设计，简单耐看，送礼自用都合适。
{colour}的{thing}，{scene}。
{scene}的{thing}，细节处处用心。
{brand}出品，手工包装，七天无理由退换。
喜欢{style}的你，一定会爱上这款{thing}。";

/// What a description should not say twice.
const ONCE: [&str; 6] = ["{scene}", "{place}", "{colour}", "{stuff}", "{brand}", "{style}"];

/// The fillings of a text's placeholders; a missing attribute has none, which rules out the
/// templates that would speak of it.
type Words = Vec<(&'static str, String)>;

impl Lists {
    fn kind(&self, design: &Design) -> &Kind {
        &self.themes[design.theme].kinds[design.kind]
    }

    fn motif(&self, design: &Design) -> Option<&Look> {
        Some(&self.themes[design.theme].motifs[design.motif?])
    }

    /// The looks that a design has.
    fn looks(&self, design: &Design) -> impl Iterator<Item = &Look> {
        let style = design.style.map(|place| &self.styles[place]);
        let colour = design.colour.map(|(place, _)| &self.colours[place]);
        let material = design.material.map(|(place, _)| &self.materials[place]);
        [style, colour, material].into_iter().flatten()
    }

    /// An English title.
    pub(crate) fn title(&self, rng: &mut ChaCha8Rng, design: &Design) -> String {
        let words = self.words(rng, design);
        let title = compose(rng, TITLES, &words);
        if rng.random_bool(0.7) { title_case(&title) } else { sentence_case(&title) }
    }

    /// An English description of one to three sentences.
    pub(crate) fn description(&self, rng: &mut ChaCha8Rng, design: &Design) -> String {
        let mut words = self.words(rng, design);
        let opener = compose(rng, OPENERS, &words);
        // Whatever the opener says, the next sentence must not say again.
        words.retain(|(place, word)| !ONCE.contains(place) || !opener.contains(word));
        let mut more = vec![compose(rng, FOLLOWERS, &words)];
        more.push(pick(rng, &self.kind(design).remarks).to_owned());
        if let Some(motif) = self.motif(design) {
            more.push(pick(rng, &motif.lines).to_owned());
        }
        for look in self.looks(design) {
            more.push(pick(rng, &look.lines).to_owned());
        }
        more.shuffle(rng);
        if design.print.is_some() {
            more.insert(0, compose(rng, PRINTED, &words));
        }
        let mut sentences = vec![opener];
        sentences.extend(more.into_iter().take(*[0, 1, 1, 2, 2, 2].choose(rng).unwrap_or(&1)));
        if rng.random_bool(0.1) {
            sentences.reverse();
        }
        join(rng, &sentences)
    }

    /// A Chinese title.
    pub(crate) fn chinese_title(&self, rng: &mut ChaCha8Rng, design: &Design) -> String {
        let words = self.chinese_words(rng, design);
        compose(rng, CHINESE_TITLES, &words)
    }

    /// A Chinese description.
    pub(crate) fn chinese_description(&self, rng: &mut ChaCha8Rng, design: &Design) -> String {
        let words = self.chinese_words(rng, design);
        let first = compose(rng, CHINESE_LINES, &words);
        let second = compose(rng, CHINESE_LINES, &words);
        if first == second { first } else { first + &second }
    }

    /// A description that somebody pasted the whole catalogue into.
    pub(crate) fn long_description(&self, rng: &mut ChaCha8Rng, design: &Design) -> String {
        let theme = &self.themes[design.theme];
        let mut sentences = Vec::new();
        for kind in &theme.kinds {
            let (name, verb) = match kind.number {
                Number::Many => (pick(rng, &kind.names), "have"),
                _ => (pick(rng, &kind.names), "has"),
            };
            sentences.push(format!("the {name} {verb} {}.", kind.features.join(" and ")));
            sentences.extend(kind.remarks.iter().map(ToString::to_string));
        }
        let looks = theme.motifs.iter().chain(&self.materials).chain(&self.styles);
        sentences.extend(looks.flat_map(|look| &look.lines).map(ToString::to_string));
        sentences.shuffle(rng);
        let mut text = self.description(rng, design);
        for sentence in sentences {
            if text.split_whitespace().count() > LONG_WORDS {
                break;
            }
            text = text + " " + &join(rng, &[sentence]);
        }
        text
    }

    fn words(&self, rng: &mut ChaCha8Rng, design: &Design) -> Words {
        let kind = self.kind(design);
        let noun = pick(rng, &kind.names);
        let thing = match (design.print, self.motif(design)) {
            (Some((_, print)), _) => format!("{}-print {noun}", print.replace(' ', "-")),
            (None, Some(motif)) => format!("{} {noun}", pick(rng, &motif.words)),
            (None, None) => noun.to_owned(),
        };
        let many = kind.number == Number::Many;
        let agree = |one: &str, several: &str| if many { several } else { one }.to_owned();
        let mut features = kind.features.clone();
        features.shuffle(rng);
        let mut words = vec![
            ("{this}", agree("this", "these")),
            ("{is}", agree("is", "are")),
            ("{it}", agree("it", "they")),
            ("{them}", agree("it", "them")),
            ("{has}", agree("has", "have")),
            ("{comes}", agree("comes", "come")),
            ("{brand}", design.brand.to_owned()),
            ("{model}", pick(rng, &MODELS).to_owned()),
            ("{place}", pick(rng, &PLACES).to_owned()),
            ("{scene}", pick(rng, &self.themes[design.theme].scenes).to_owned()),
        ];
        // The article waits for the word that follows it.
        let article = if kind.number == Number::One { ARTICLE } else { "" };
        words.push(("{a}", article.to_owned()));
        if let Some(style) = design.style {
            words.push(("{style}", pick(rng, &self.styles[style].words).to_owned()));
        }
        if let Some((_, colour)) = design.colour {
            words.push(("{colour}", colour.to_owned()));
        }
        if let Some((_, material)) = design.material {
            words.push(("{material}", material.to_owned()));
            words.push(("{stuff}", material.replace('-', " ")));
        }
        for (place, feature) in ["{feature}", "{feature2}", "{spare}"].into_iter().zip(&features) {
            words.push((place, (*feature).to_owned()));
        }
        if let Some(short) = features.iter().find(|text| text.split(' ').count() < 5) {
            let bare = short.trim_start_matches("a ").trim_start_matches("an ");
            words.push(("{short}", bare.to_owned()));
        }
        if let Some((_, print)) = design.print {
            words.push(("{prints}", plural(print)));
        }
        let already_a_set = ["set", "kit", "box"].iter().any(|word| noun.contains(word));
        if kind.number == Number::One && kind.price.1 < 60 && !already_a_set {
            words.push(("{count}", pick(rng, &["2", "3", "4", "six"]).to_owned()));
            words.push(("{things}", plural(&thing)));
        }
        words.push(("{thing}", thing));
        words
    }

    fn chinese_words(&self, rng: &mut ChaCha8Rng, design: &Design) -> Words {
        let theme = &self.themes[design.theme];
        let motif = self.motif(design).map_or("", |motif| motif.chinese);
        let noun = pick(rng, &self.kind(design).chinese);
        let mut words = vec![
            ("{thing}", format!("{motif}{noun}")),
            ("{brand}", design.brand.to_owned()),
            ("{scene}", pick(rng, &theme.chinese_scenes).to_owned()),
        ];
        let places = [
            ("{style}", design.style, &self.styles),
            ("{colour}", design.colour.map(|(place, _)| place), &self.colours),
            ("{stuff}", design.material.map(|(place, _)| place), &self.materials),
        ];
        for (place, look, table) in places {
            words.extend(look.map(|look| (place, table[look].chinese.to_owned())));
        }
        words
    }
}

/// Spoils a text in one of the ways in which shops' exports are spoilt.
pub(crate) fn blemish(rng: &mut ChaCha8Rng, text: &str) -> String {
    match rng.random_range(0..9_u32) {
        0 => format!("{text} {}", pick(rng, &["👩‍🚀", "👨‍👩‍👧‍👦", "🐈‍⬛", "🧑🏽‍🍳", "❤️‍🔥"])),
        1 => text.replace('é', "e\u{301}").replacen('e', "e\u{301}", 1),
        2 => text.replacen(' ', " \u{200b}", 2),
        3 => text.chars().map(full_width).collect(),
        4 => format!("{text}  \t\n"),
        5 => format!("{}&nbsp;", text.replace(" and ", " &amp; ").replace('\'', "&#39;")),
        6 => format!("<b>NEW!</b> {text}<br/>"),
        7 => text.replace(' ', "\u{a0}"),
        _ => text.to_uppercase(),
    }
}

/// One of `items`, or nothing where there are none.
pub(crate) fn pick(rng: &mut ChaCha8Rng, items: &[&'static str]) -> &'static str {
    items.choose(rng).copied().unwrap_or_default()
}

/// Stands for "a" or "an" until the next word is known.
const ARTICLE: &str = "a(n)";

/// Fills in one of the templates for which all words are there.
fn compose(rng: &mut ChaCha8Rng, templates: &'static str, words: &Words) -> String {
    let fill = |template: &str| words.iter().fold(template.to_owned(), |text, (place, word)| text.replace(place, word));
    let filled: Vec<_> = templates.trim().lines().map(fill).collect();
    let usable: Vec<_> = filled.into_iter().filter(|text| !text.contains('{')).collect();
    usable.choose(rng).map(|text| settle_articles(&spin(rng, text))).unwrap_or_default()
}

/// Replaces each `[a|b]` by one of its choices.
fn spin(rng: &mut ChaCha8Rng, text: &str) -> String {
    let mut spun = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let (choices, tail) = after.split_once(']').unwrap_or((after, ""));
        let choices: Vec<_> = choices.split('|').collect();
        spun += before;
        spun += choices.choose(rng).copied().unwrap_or_default();
        rest = tail;
    }
    spun + rest
}

fn settle_articles(text: &str) -> String {
    let mut words = text.split_whitespace().peekable();
    let mut settled = Vec::new();
    while let Some(word) = words.next() {
        // "a Uji tea", "a one-piece", "a USB", "a utilitarian": written with a vowel, said without.
        let vowel = words.peek().is_some_and(|next| {
            let next = next.to_lowercase();
            let said_without = ["u", "one"].iter().any(|start| next.starts_with(start));
            next.starts_with(['a', 'e', 'i', 'o', 'u'])
                && (!said_without || next.starts_with("un") || next.starts_with("ur"))
        });
        settled.push(match word {
            ARTICLE if vowel => "an",
            ARTICLE => "a",
            _ => word,
        });
    }
    settled.join(" ")
}

fn join(rng: &mut ChaCha8Rng, sentences: &[String]) -> String {
    let spun: Vec<_> = sentences.iter().map(|text| sentence_case(&spin(rng, text))).collect();
    spun.join(" ")
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn title_case(text: &str) -> String {
    const SMALL: [&str; 10] = ["of", "in", "with", "and", "for", "the", "that", "a", "to", "on"];
    let words = text
        .split(' ')
        .enumerate()
        .map(|(place, word)| if place > 0 && SMALL.contains(&word) { word.to_owned() } else { sentence_case(word) });
    words.collect::<Vec<_>>().join(" ")
}

fn plural(noun: &str) -> String {
    let hissing = ["s", "x", "sh", "ch"].iter().any(|end| noun.ends_with(end));
    if let Some((head, tail)) = noun.split_once(" and ") {
        return format!("{} and {}", plural(head), plural(tail));
    }
    if let Some((head, tail)) = noun.split_once(" for ") {
        return format!("{} for {tail}", plural(head));
    }
    match noun.strip_suffix("fe") {
        Some(stem) => format!("{stem}ves"),
        None if hissing => format!("{noun}es"),
        None => match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o'])) {
            Some(stem) => format!("{stem}ies"),
            None => format!("{noun}s"),
        },
    }
}

fn full_width(letter: char) -> char {
    match letter {
        '!'..='~' => char::from_u32(u32::from(letter) + 0xfee0).unwrap_or(letter),
        _ => letter,
    }
}
