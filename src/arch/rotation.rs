//! Rows of a head of queries or keys: checkpoints rotate number `i` with number `i + half`, and llama.cpp's `llama` graph
//! rotates number `2 i` with number `2 i + 1`.

/// The row in a checkpoint of a file's row `row`, of `rows` in `heads` heads.
pub fn in_checkpoint(row: u64, rows: u64, heads: u64) -> u64 {
    let (start, within, half) = within_head(row, rows, heads);
    start + within % 2 * half + within / 2
}

/// The row in a file of a checkpoint's row `row`, of `rows` in `heads` heads.
pub fn in_file(row: u64, rows: u64, heads: u64) -> u64 {
    let (start, within, half) = within_head(row, rows, heads);
    start + within % half * 2 + within / half
}

/// The head's first row, the row counted from there, and half of the head's rows.
fn within_head(row: u64, rows: u64, heads: u64) -> (u64, u64, u64) {
    let head = (rows / heads.max(1)).max(1);
    (row / head * head, row % head, (head / 2).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_pairs_and_pairs_become_halves_again() {
        let order = |heads| (0..16).map(|row| in_checkpoint(row, 16, heads)).collect::<Vec<_>>();
        assert_eq!(order(2), [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]);
        assert_eq!(order(1)[..4], [0, 8, 1, 9]);
        for heads in [1, 2, 4, 8] {
            assert!((0..16).all(|row| in_checkpoint(in_file(row, 16, heads), 16, heads) == row), "{heads}");
        }
    }
}
