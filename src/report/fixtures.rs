//! What every page has to be, for the tests of reports.

/// Fails unless tags are closed in order, no text leaves its place, and nothing is needed from elsewhere.
#[track_caller]
pub(crate) fn check(page: &str) {
    let mut open = vec!["html", "head"];
    let body = page.split_once("</style>").map_or("", |(_, body)| body);
    for tag in body.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or((tag, ""));
        assert!(!text.contains('>'), "a '>' in a text: {text}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "in the wrong order"),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for foreign in ["<script", "http:", "https:", "url(", "@import", "src="] {
        assert!(!page.contains(foreign), "the page is not self-contained: {foreign}");
    }
}
