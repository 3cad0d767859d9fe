//! Figures over rounds, and how they are printed.

use serde_json::{Value, json};

/// Figures of one thing, one for each round.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// The next round's.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// Round by round, these over those.
    pub fn over(&self, those: &Rounds) -> Rounds {
        Rounds(self.0.iter().zip(&those.0).map(|(a, b)| a / b).collect())
    }

    /// `median (least to greatest)`.
    pub fn spread(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.0.is_empty() {
            true => "-".into(),
            false => format!("{:.2} ({least:.2} to {greatest:.2})", self.median()),
        }
    }

    /// The median and every round's figure.
    pub fn json(&self) -> Value {
        json!({"median": self.median(), "rounds": self.0})
    }
}

/// A figure with so many digits behind the point; a dash where nothing was measured.
pub fn figure(figure: f64, digits: usize) -> String {
    match figure.is_nan() {
        true => "-".into(),
        false => format!("{figure:.digits$}"),
    }
}

/// Rows with the first as the head, columns aligned, figures to the right.
pub fn print(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells =
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:width$}"),
                    _ => format!("{cell:>width$}"),
                });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    println!();
}
