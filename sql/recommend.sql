-- Recommend: train a recommender on the year's purchases before December, and rank December's launches with it.
-- Run from the repository's root: debut sql -f sql/recommend.sql --param customer=59
-- The settings are for a quick example: leave out epochs, factors and max_tokens for real work.

CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet';

CREATE TABLE purchases AS
SELECT customer_id AS user_id, product_id AS item_id, timestamp, quantity FROM 'data/interactions.parquet' WHERE event = 'purchase';

-- Train on everything before December. Past launches decide how much each component of the model counts.
SELECT epoch, round(train_loss, 3) AS loss, round(metric, 3) AS recall_20, version, message
FROM finetune(
  model => 'taste', objective => 'recommend', publish => 'always', window => 150, epochs => 1, factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM purchases WHERE timestamp < '2025-12-01'),
  items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM products WHERE launched_at < '2025-12-01'));

-- One customer's list: at least half of it new items, with a penalty on similar ones.
SELECT r.rank, p.title, p.price, r.is_new, round(r.probability, 4) AS probability
FROM recommend(model => 'taste', k => 10, min_new_share => 0.5, diversity => 0.3,
       users => (SELECT CAST($customer AS BIGINT) AS user_id),
       items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM products)) AS r
JOIN products AS p ON p.product_id = r.item_id
ORDER BY r.rank;

-- The probability that the same customer buys a product with a given text.
SELECT title, round(score(CAST($customer AS BIGINT), title, 'taste'), 4) AS probability
FROM products WHERE launched_at >= '2025-12-01' ORDER BY probability DESC LIMIT 5;
