-- Transfer: a shop begins with the encoder that another shop's recommender has tuned, which knows what customers mean by words.
-- Run from the repository's root: debut sql -f sql/transfer.sql
-- The two shops are halves of the bundled one: things for the home, and all the others. No product is in both.
-- The settings are for a quick example, as in sql/recommend.sql, and so is the choice of later launches.

CREATE TABLE goods AS
SELECT product_id AS item_id, title AS text, price, launched_at, category IN ('Kitchen', 'Food & Drink', 'Home') AS is_home
FROM 'data/products.parquet' WHERE launched_at >= '2024-07-01';

CREATE TABLE wanted AS
SELECT i.customer_id AS user_id, g.item_id, i.timestamp, g.is_home
FROM 'data/interactions.parquet' AS i JOIN goods AS g ON g.item_id = i.product_id WHERE i.event <> 'view';

-- Each shop's own recommender.
SELECT version FROM finetune(model => 'home', objective => 'recommend', publish => 'always', window => 150, epochs => 1,
  factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM wanted WHERE is_home AND timestamp < '2025-11-01'),
  items => (SELECT * FROM goods WHERE is_home AND launched_at < '2025-11-01')) WHERE version IS NOT NULL;
SELECT version FROM finetune(model => 'others', objective => 'recommend', publish => 'always', window => 150, epochs => 1,
  factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM wanted WHERE NOT is_home AND timestamp < '2025-11-01'),
  items => (SELECT * FROM goods WHERE NOT is_home AND launched_at < '2025-11-01')) WHERE version IS NOT NULL;

-- The same, beginning with the encoder of the other shop: `base` takes a recommender, too.
SELECT version FROM finetune(model => 'home_from_others', base => 'others', objective => 'recommend', publish => 'always',
  window => 150, epochs => 1, factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM wanted WHERE is_home AND timestamp < '2025-11-01'),
  items => (SELECT * FROM goods WHERE is_home AND launched_at < '2025-11-01')) WHERE version IS NOT NULL;
SELECT version FROM finetune(model => 'others_from_home', base => 'home', objective => 'recommend', publish => 'always',
  window => 150, epochs => 1, factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM wanted WHERE NOT is_home AND timestamp < '2025-11-01'),
  items => (SELECT * FROM goods WHERE NOT is_home AND launched_at < '2025-11-01')) WHERE version IS NOT NULL;

-- Both ways, on what was launched since: with the other shop's encoder, without, and the difference user by user.
SELECT method, round(value, 4) AS recall_20, round(ci_low, 4) AS low, round(ci_high, 4) AS high
FROM evaluate(model => 'home_from_others', against => 'home', resamples => 200,
  interactions => (SELECT * FROM wanted WHERE is_home AND timestamp >= '2025-11-01'), items => (SELECT * FROM goods WHERE is_home))
WHERE candidates = 'new' AND metric = 'recall' AND week IS NULL AND method LIKE '%home%';
SELECT method, round(value, 4) AS recall_20, round(ci_low, 4) AS low, round(ci_high, 4) AS high
FROM evaluate(model => 'others_from_home', against => 'others', resamples => 200,
  interactions => (SELECT * FROM wanted WHERE NOT is_home AND timestamp >= '2025-11-01'), items => (SELECT * FROM goods WHERE NOT is_home))
WHERE candidates = 'new' AND metric = 'recall' AND week IS NULL AND method LIKE '%others%';
