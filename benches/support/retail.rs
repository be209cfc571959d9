//! The shared retail data: takes the path of the file and days, gives the SQL of tables.

use std::path::Path;

/// The lines that count.
const LINES: &str = "
CREATE TABLE lines AS
SELECT stock_code, description, invoice_date, unit_price, quantity, customer_id FROM '$data'
WHERE invoice_no NOT LIKE 'C%' AND quantity > 0 AND unit_price > 0 AND regexp_like(stock_code, '^[0-9]{5}')
  AND invoice_date < TIMESTAMP '$end'";

/// The weeks from `$day` on: a warm item's text is its most frequent description before the day, a new one's the first one.
const ITEMS: &str = "
CREATE TABLE warm AS
WITH said AS (
  SELECT stock_code, description, count(*) AS n FROM lines
  WHERE invoice_date < TIMESTAMP '$day' AND description IS NOT NULL GROUP BY stock_code, description),
cost AS (SELECT stock_code, median(unit_price) AS price FROM lines WHERE invoice_date < TIMESTAMP '$day' GROUP BY stock_code)
SELECT s.stock_code, first_value(description ORDER BY n DESC, description) AS text, first_value(price) AS price
FROM said s JOIN cost c ON c.stock_code = s.stock_code GROUP BY s.stock_code;
CREATE TABLE new AS
SELECT stock_code, first_value(description ORDER BY invoice_date) FILTER (WHERE description IS NOT NULL) AS text,
       first_value(unit_price ORDER BY invoice_date) AS price
FROM lines GROUP BY stock_code HAVING min(invoice_date) >= TIMESTAMP '$day' AND count(customer_id) > 0";

/// Makes the table `lines` of what was sold before the day `end`.
pub(crate) fn lines(data: &Path, end: &str) -> String {
    LINES.replace("$data", &data.display().to_string()).replace("$end", end)
}

/// Makes the tables `warm` and `new` of the items that were sold before `day`, and of those that were not, from `lines`.
pub(crate) fn weeks(day: &str) -> String {
    ITEMS.replace("$day", day)
}
