-- New pictures: train a recommender that sees, and rank the new season's pictures for a customer before anything is written about them.
-- Run from the repository's root: debut sql -f sql/new_pictures.sql --param customer=59
-- The settings are for a quick example, as in sql/recommend.sql.

CREATE TABLE kitchen AS
SELECT p.product_id AS item_id, p.title AS text, f.image, p.price, p.launched_at
FROM 'data/products.parquet' AS p LEFT JOIN 'data/pictures.parquet' AS f ON f.product_id = p.product_id
WHERE p.category = 'Kitchen';

CREATE TABLE viewed AS
SELECT customer_id AS user_id, product_id AS item_id, timestamp FROM 'data/interactions.parquet';

-- What customers look at, up to the new season. Products without a picture are known by their text.
SELECT version, message
FROM finetune(
  model => 'look', objective => 'recommend', publish => 'always', window => 100, epochs => 1, factors => 16, max_tokens => 16,
  interactions => (SELECT * FROM viewed WHERE timestamp < '2025-11-01'),
  items => (SELECT * FROM kitchen WHERE launched_at < '2025-11-01'))
WHERE version IS NOT NULL;

-- The new season's pictures, alone, for one customer.
SELECT r.rank, k.text AS what_it_is, round(r.probability, 4) AS probability
FROM recommend(model => 'look', k => 5, users => (SELECT CAST($customer AS BIGINT) AS user_id),
       items => (SELECT item_id, image FROM kitchen WHERE launched_at >= '2025-11-01' AND image IS NOT NULL)) AS r
JOIN kitchen AS k ON k.item_id = r.item_id
ORDER BY r.rank;
