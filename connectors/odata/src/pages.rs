//! How many rows to ask for: large enough to be quick, small enough that the server survives.

/// The size of the next page. Grows towards an aim in bytes, shrinks when a page fails, and never reaches a size that
/// failed once: a page that is too large can fill the disk of 1C's application server.
#[derive(Debug)]
pub(crate) struct Pages {
    rows: usize,
    most_rows: usize,
    aim_bytes: u64,
    failed_at: Option<usize>,
}

impl Pages {
    /// Starts with a probe of so many rows.
    pub(crate) fn new(probe_rows: usize, most_rows: usize, aim_bytes: u64) -> Self {
        let most_rows = most_rows.max(1);
        Self { rows: probe_rows.clamp(1, most_rows), most_rows, aim_bytes, failed_at: None }
    }

    /// Rows of the next page.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// A page came with so many rows and bytes.
    pub(crate) fn came(&mut self, rows: usize, bytes: u64) {
        let rows = u64::try_from(rows.max(1)).unwrap_or(u64::MAX);
        let per_row = (bytes / rows).max(1);
        let fit = usize::try_from(self.aim_bytes / per_row).unwrap_or(usize::MAX).max(1);
        let limit = self.failed_at.map_or(self.most_rows, |failed| failed.saturating_sub(1).min(self.most_rows));
        self.rows = fit.min(limit).max(1);
    }

    /// A page failed; whether a smaller one is left to try.
    pub(crate) fn failed(&mut self) -> bool {
        self.failed_at = Some(self.failed_at.map_or(self.rows, |failed| failed.min(self.rows)));
        let smaller = self.rows / 2;
        self.rows = smaller.max(1);
        smaller > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_grow_to_the_aim_and_no_further() {
        let mut pages = Pages::new(50, 1000, 1 << 20);
        assert_eq!(pages.rows(), 50);
        pages.came(50, 50 * 4096);
        assert_eq!(pages.rows(), 256);
        pages.came(256, 256 * 10);
        assert_eq!(pages.rows(), 1000);
        pages.came(1000, 1000 * (2 << 20));
        assert_eq!(pages.rows(), 1, "one row of a fat document is still asked for");
    }

    #[test]
    fn a_size_that_failed_is_never_asked_again() {
        let mut pages = Pages::new(100, 1000, u64::MAX);
        pages.came(100, 100);
        assert!(pages.failed());
        assert_eq!(pages.rows(), 500);
        pages.came(500, 1);
        assert_eq!(pages.rows(), 999);
        for expected in [499, 249, 124, 62, 31, 15, 7, 3, 1] {
            assert!(pages.failed());
            assert_eq!(pages.rows(), expected);
        }
        assert!(!pages.failed());
        assert_eq!(pages.rows(), 1);
        pages.came(1, 1);
        assert_eq!(pages.rows(), 1);
    }

    proptest! {
        #[test]
        fn sizes_stay_within_their_limits(events in prop::collection::vec(prop::option::of(any::<u32>()), 0..40), most in 1usize..5000) {
            let mut pages = Pages::new(50, most, 1 << 20);
            let mut failed = usize::MAX;
            for event in events {
                let rows = pages.rows();
                prop_assert!(rows >= 1 && rows <= most && (rows < failed || rows == 1));
                if let Some(bytes) = event {
                    pages.came(rows, u64::from(bytes));
                } else {
                    failed = failed.min(rows);
                    pages.failed();
                }
            }
        }
    }
}
