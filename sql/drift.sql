-- Drift: each week since the training beside what came before, and when to train anew.
-- Run sql/recommend.sql first, then: debut sql -f sql/drift.sql
-- A row is an alert if a population stability index is above 0.25, a share of unknown things above 0.25, or the interval of a
-- week's metric below what the training promised. The rule: train anew if the metric is an alert, or anything else is one in two
-- weeks that follow each other; one week can be a holiday.

CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet';

CREATE TABLE events AS
SELECT customer_id, product_id, event, timestamp, timestamp >= '2025-12-01' AS is_new,
       CAST(date_trunc('week', timestamp) AS DATE) AS week, category, price, title
FROM 'data/interactions.parquet' JOIN products USING (product_id)
WHERE timestamp >= '2025-09-01' AND timestamp < '2025-12-29';

CREATE TABLE weeks AS SELECT DISTINCT week FROM events WHERE is_new;

-- Inputs: what is looked at. Each week is compared with the three months before December.
CREATE TABLE inputs AS
SELECT w.week, psi(e.price, e.is_new) AS price, psi(e.category, e.is_new) AS category,
       psi(character_length(e.title), e.is_new) AS text_length
FROM weeks AS w JOIN events AS e ON NOT e.is_new OR e.week = w.week GROUP BY w.week;

-- Scores: the probabilities that the model gives to what is put in the cart, each week beside the first one after the training.
CREATE TABLE scored AS
SELECT week, week > '2025-12-01' AS is_later, score(customer_id, title, 'taste') AS score
FROM events WHERE is_new AND event = 'cart';

CREATE TABLE scores AS
SELECT w.week, psi(s.score, s.is_later) AS score
FROM weeks AS w JOIN scored AS s ON NOT s.is_later OR s.week = w.week WHERE w.week > '2025-12-01' GROUP BY w.week;

-- What the model has not seen: customers and products without an event, and words in no title, before December.
CREATE TABLE unknown AS
WITH words AS (SELECT is_new, week, unnest(string_to_array(lower(title), ' ')) AS word FROM events),
     seen AS (SELECT DISTINCT word FROM words WHERE NOT is_new)
SELECT e.week, avg(CASE WHEN c.customer_id IS NULL THEN 1.0 ELSE 0.0 END) AS users,
       avg(CASE WHEN p.product_id IS NULL THEN 1.0 ELSE 0.0 END) AS items, first_value(w.words) AS words
FROM events AS e
LEFT JOIN (SELECT DISTINCT customer_id FROM events WHERE NOT is_new) AS c ON c.customer_id = e.customer_id
LEFT JOIN (SELECT DISTINCT product_id FROM events WHERE NOT is_new) AS p ON p.product_id = e.product_id
JOIN (SELECT week, avg(CASE WHEN seen.word IS NULL THEN 1.0 ELSE 0.0 END) AS words
      FROM words LEFT JOIN seen ON seen.word = words.word WHERE is_new GROUP BY week) AS w ON w.week = e.week
WHERE e.is_new GROUP BY e.week;

-- The metric of the version in use week by week, and what its training promised: recall of launches that it had not seen.
CREATE TABLE bought AS
SELECT customer_id AS user_id, product_id AS item_id, timestamp, week FROM events WHERE event = 'purchase';

CREATE TABLE items AS SELECT product_id AS item_id, title AS text, price, launched_at FROM products;

CREATE TABLE metric AS
SELECT week, value, ci_high FROM (
SELECT DATE '2025-12-08' AS week, candidates, metric, week AS since_launch, method, value, ci_high FROM evaluate(
  model => 'taste', k => 20, resamples => 200, boosts => '1', since => '2025-12-08',
  interactions => (SELECT user_id, item_id, timestamp FROM bought WHERE week = '2025-12-08'), items => (SELECT * FROM items))
UNION ALL
SELECT DATE '2025-12-15' AS week, candidates, metric, week AS since_launch, method, value, ci_high FROM evaluate(
  model => 'taste', k => 20, resamples => 200, boosts => '1', since => '2025-12-15',
  interactions => (SELECT user_id, item_id, timestamp FROM bought WHERE week = '2025-12-15'), items => (SELECT * FROM items))
UNION ALL
SELECT DATE '2025-12-22' AS week, candidates, metric, week AS since_launch, method, value, ci_high FROM evaluate(
  model => 'taste', k => 20, resamples => 200, boosts => '1', since => '2025-12-22',
  interactions => (SELECT user_id, item_id, timestamp FROM bought WHERE week = '2025-12-22'), items => (SELECT * FROM items)))
WHERE candidates = 'new' AND metric = 'recall' AND since_launch IS NULL AND method LIKE 'taste@%';

CREATE TABLE promise AS
SELECT best FROM debut.training_runs WHERE published LIKE 'taste@%' AND best IS NOT NULL ORDER BY started_at DESC LIMIT 1;

CREATE TABLE drift AS
SELECT week, 'input' AS kind, 'price' AS name, price AS value, 0.25 AS reference, price > 0.25 AS alert FROM inputs
UNION ALL SELECT week, 'input', 'category', category, 0.25, category > 0.25 FROM inputs
UNION ALL SELECT week, 'input', 'text_length', text_length, 0.25, text_length > 0.25 FROM inputs
UNION ALL SELECT week, 'score', 'probability', score, 0.25, score > 0.25 FROM scores
UNION ALL SELECT week, 'unknown', 'users', users, 0.25, users > 0.25 FROM unknown
UNION ALL SELECT week, 'unknown', 'items', items, 0.25, items > 0.25 FROM unknown
UNION ALL SELECT week, 'unknown', 'words', words, 0.25, words > 0.25 FROM unknown
UNION ALL SELECT week, 'metric', 'recall_20', value, best, ci_high < best FROM metric CROSS JOIN promise;

SELECT week, kind, name, round(value, 3) AS value, round(reference, 3) AS reference, alert
FROM drift ORDER BY alert DESC, week, kind, name;

-- The rule, and what it rests on.
SELECT count(*) > 0 AS train_anew, string_agg(DISTINCT name, ', ') AS because
FROM (SELECT *, lag(alert) OVER (PARTITION BY kind, name ORDER BY week) AS was_alert FROM drift)
WHERE alert AND (kind = 'metric' OR was_alert);
