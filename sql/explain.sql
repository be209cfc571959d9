-- Explain: why a customer is recommended a launch, and what the words of its title do to its audience.
-- Run sql/recommend.sql first, then: debut sql -f sql/explain.sql --param customer=59

CREATE TABLE launches AS
SELECT product_id AS item_id, title AS text, price FROM 'data/products.parquet' WHERE launched_at >= '2025-12-24';

-- The customer's list, and of each launch the purchases that speak for it: attributions are in the logarithm of the odds.
CREATE TABLE list AS
SELECT * FROM recommend(model => 'taste', k => 3, explain => true,
  users => (SELECT CAST($customer AS BIGINT) AS user_id), items => (SELECT * FROM launches));
SELECT rank, launch.text AS launch, bought.title AS because_of, round(purchase['attribution'], 3) AS attribution
FROM (SELECT rank, item_id, unnest(purchases) AS purchase FROM list) AS r
JOIN launches AS launch ON launch.item_id = r.item_id
JOIN 'data/products.parquet' AS bought ON bought.product_id = purchase['item_id']
ORDER BY rank, attribution DESC;

-- The first launch in full: the components add up to ln(score / (1 - score)); a word adds what is lost without it.
SELECT kind, feature, description, round(attribution, 3) AS attribution, round(score, 4) AS score
FROM explain_recommendation(model => 'taste', k => 5,
  users => (SELECT CAST($customer AS BIGINT) AS user_id),
  items => (SELECT * FROM launches WHERE item_id IN (SELECT item_id FROM list WHERE rank = 1)))
ORDER BY kind, attribution DESC;

-- Its title: the buyers to be expected without each word, and with words of similar products.
SELECT change, word, round(buyers, 2) AS buyers, round(effect, 3) AS effect
FROM title_effect(model => 'taste', k => 5,
  items => (SELECT * FROM launches WHERE item_id IN (SELECT item_id FROM list WHERE rank = 1)))
ORDER BY effect DESC;
