-- Weekly: the recommender goes on with what came since it was trained, takes its place if it is better, and can be rolled back.
-- Run sql/recommend.sql first, then: debut sql -f sql/weekly.sql
-- A scheduler can run the first part every week; `since => 'last'` is what came after the training data of the version in use.

CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet';

CREATE TABLE purchases AS
SELECT customer_id AS user_id, product_id AS item_id, timestamp FROM 'data/interactions.parquet' WHERE event = 'purchase';

-- Train on all purchases before the last week, from the version in use. The message says how both versions rank what customers
-- bought for the first time in the newest part, and which was kept. It is the new one if the interval is above 0.
SELECT epoch, round(train_loss, 3) AS loss, round(metric, 3) AS recall_20, version, message
FROM finetune(
  model => 'taste', objective => 'recommend', since => 'last', window => 150, epochs => 1, factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM purchases WHERE timestamp < '2025-12-25'),
  items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM products WHERE launched_at < '2025-12-25'));

SELECT name, version, in_use FROM debut.model_versions WHERE name = 'taste' ORDER BY version;

-- The version in use beside the first one, on the last week, which neither was trained on.
SELECT method, metric, round(value, 3) AS value, round(ci_low, 3) AS low, round(ci_high, 3) AS high, users
FROM evaluate(
  model => 'taste', against => 'taste@1', k => 20, resamples => 200, boosts => '1',
  interactions => (SELECT * FROM purchases WHERE timestamp >= '2025-12-25'),
  items => (SELECT product_id AS item_id, title AS text, price, launched_at FROM products))
WHERE candidates = 'all' AND segment = 'all' AND metric = 'recall' AND week IS NULL AND method LIKE 'taste@%' ORDER BY method;

-- Roll back: the first version is in use again; the newer one stays and can be taken up in the same way.
ALTER MODEL taste USE VERSION 1;
