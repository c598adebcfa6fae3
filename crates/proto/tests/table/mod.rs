//! The rows of the table of memory amplification, and its page.

use std::{fmt::Write as _, fs, path::Path};

/// Bytes that may be held for each byte that was received, beyond the base.
const HELD_PER_BYTE_MAX: f64 = 2.0;

const PAGE: &str = "docs/reference/memory-amplification.md";

/// What one attack comes to.
#[derive(Debug)]
pub(crate) struct Row {
    id: &'static str,
    what: &'static str,
    base: usize,
    received: usize,
    held: isize,
    held_max: isize,
    /// The most, at any moment, of what is held beyond the base for each byte received.
    ratio: f64,
    inside: usize,
}

impl Row {
    pub(crate) fn new(id: &'static str, what: &'static str, base: usize) -> Self {
        Self {
            id,
            what,
            base,
            received: 0,
            held: 0,
            held_max: 0,
            ratio: 0.0,
            inside: 0,
        }
    }

    /// A call took in so many bytes, changed what is held by `held`, and had `peak` more than
    /// before at its height.
    pub(crate) fn add(&mut self, received: usize, held: isize, peak: usize) {
        self.received += received;
        self.held += held;
        self.held_max = self.held_max.max(self.held);
        let beyond = self.held - self.base.cast_signed();
        self.ratio = self.ratio.max(beyond as f64 / self.received as f64);
        let kept = usize::try_from(held).unwrap_or(0);
        self.inside = self.inside.max(peak.saturating_sub(kept));
    }

    /// The one of the two that has its connection hold more.
    pub(crate) fn worse(self, other: Self) -> Self {
        let weight = |row: &Self| (row.held_max, row.inside, row.received);
        if weight(&other) > weight(&self) {
            other
        } else {
            self
        }
    }

    pub(crate) fn received(&self) -> usize {
        self.received
    }

    pub(crate) fn check(&self, inside_max: usize) {
        assert!(self.ratio <= HELD_PER_BYTE_MAX, "{self:?}");
        assert!(self.inside <= inside_max, "{self:?}, over {inside_max}");
    }

    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {:.2} | {} |",
            self.id, self.what, self.received, self.held_max, self.base, self.ratio, self.inside
        )
    }
}

/// Prints the table and compares it with the part of the page between the marks of that name, or
/// writes that part.
#[allow(clippy::print_stdout, reason = "with --nocapture it shows the table")]
pub(crate) fn compare(part: &str, rows: &[Row]) {
    let mut table = String::from(
        "| attack | what is sent | bytes received | most held | base | held per byte, beyond the base | inside a call |\n\
         |---|---|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        writeln!(table, "{}", row.line()).unwrap();
    }
    println!("{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(PAGE);
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {part} -->\n\n"),
        format!("\n<!-- /{part} -->"),
    );
    let (before, rest) = page.split_once(&begin).expect("the page has the mark");
    let (committed, after) = rest.split_once(&end).expect("and its end");
    if std::env::var_os("RUPOR_WRITE_REFERENCE").is_some() {
        fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
        return;
    }
    assert!(
        committed == table,
        "{PAGE} is stale: RUPOR_WRITE_REFERENCE=1 cargo test -p rupor-proto --test amplification"
    );
}
