//! From the figures of several rounds to one.

/// The middle figure, or the mean of the middle two; `None` without figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_unstable_by(f64::total_cmp);
    let upper = figures.len() / 2;
    let lower = figures.len().checked_sub(1)? / 2;
    Some((figures[lower] + figures[upper]) / 2.0)
}

/// A figure with about three digits that matter.
pub(crate) fn plain(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e4 => format!("{:.0} k", f / 1e3),
        f if f >= 100.0 => format!("{f:.0}"),
        f if f >= 10.0 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_slow_round() {
        assert_eq!(median([5.0, 900.0, 4.0]), Some(5.0));
        assert_eq!(median([5.0, 900.0, 4.0, 7.0]), Some(6.0));
        assert_eq!(median([5.0]), Some(5.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(plain(1_060_000.0), "1.06 M");
        assert_eq!(plain(351_400.0), "351 k");
        assert_eq!(plain(13.52), "13.5");
        assert_eq!(plain(0.071), "0.07");
    }
}
