//! What every page has to be, for the tests of reports.

/// Fails unless the page holds each of these texts and is small.
#[track_caller]
pub(crate) fn holds(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(page.len() < 200_000, "{} bytes", page.len());
    // For those who want to look at it: DEBUT_REPORT=report.html cargo test, with the name of one test.
    if let Some(path) = std::env::var_os("DEBUT_REPORT") {
        assert!(std::fs::write(path, page).is_ok());
    }
}

/// Fails unless tags are closed in order, no text leaves its place, and nothing is needed from elsewhere.
#[track_caller]
pub(crate) fn check(page: &str) {
    const VOID: [&str; 1] = ["img"];
    let mut open = vec!["html", "head"];
    let body = page.split_once("</style>").map_or("", |(_, body)| body);
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or((tag, ""));
        assert!(!text.contains('>'), "a '>' in a text: {text}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "in the wrong order"),
            (false, false) if VOID.contains(&name) => {}
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    let own = page.replace("src=\"data:", "");
    for foreign in ["<script", "http:", "https:", "url(", "@import", "src="] {
        assert!(!own.contains(foreign), "the page is not self-contained: {foreign}");
    }
}
