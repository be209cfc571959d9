-- Forecast: what the launches of the last week sell in their first eight weeks, and what they take from products on sale.
-- Run sql/recommend.sql first, then: debut sql -f sql/forecast.sql
-- `evaluate` says how many launches the intervals held: rows with the metrics forecast_coverage and forecast_error.

CREATE TABLE forecast AS
SELECT * FROM forecast_launch(
  model => 'taste', weeks => 8,
  items => (SELECT product_id AS item_id, title AS text, price FROM 'data/products.parquet' WHERE launched_at >= '2025-12-29'));

-- The most promising first: nine of ten launches have buyers between low and high. What is taken is NULL in a shop as small as
-- this one, where too few products have buyers enough to say; in a larger one taken_from names the products that lose.
SELECT p.title, p.price, round(buyers, 1) AS buyers, round(buyers_low, 1) AS low, round(buyers_high, 1) AS high,
       round(revenue) AS revenue, round(similar_buyers, 1) AS similar, round(taken, 1) AS taken
FROM forecast JOIN 'data/products.parquet' AS p ON p.product_id = item_id
ORDER BY buyers DESC LIMIT 5;
