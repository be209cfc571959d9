-- Reviews: what is talked about, week by week, and what suddenly is more than before.
-- Run sql/train.sql first, then: debut sql -f sql/reviews.sql
-- The shop has no reviews: what stands for one here is a product that was put in the cart, by its title. With reviews, put
-- their text in its place; a model of sentiment (trained as in sql/train.sql) gives the rows to count, such as complaints.

CREATE TABLE mentions AS
WITH topics AS (SELECT product_id, classify(title, 'aisle')['label'] AS topic FROM 'data/products.parquet')
SELECT date_trunc('week', timestamp) AS week, topic, count(*) AS n
FROM 'data/interactions.parquet' JOIN topics USING (product_id)
WHERE event = 'cart' AND topic IS NOT NULL GROUP BY week, topic;

-- A row for each topic and week, also where nothing was said; the exposure is all that was said in the week.
CREATE TABLE weekly AS
SELECT w.week, t.topic, coalesce(m.n, 0) AS n, w.total, count(*) OVER (PARTITION BY w.week) AS topics
FROM (SELECT week, sum(n) AS total FROM mentions GROUP BY week) AS w
CROSS JOIN (SELECT DISTINCT topic FROM mentions) AS t
LEFT JOIN mentions AS m ON m.week = w.week AND m.topic = t.topic;

-- One false alarm in twenty weeks is to be expected, over all topics together.
SELECT CAST(week AS DATE) AS week, topic, n, round(s['expected'], 1) AS expected, round(s['ratio'], 2) AS ratio,
       round(s['p_value'], 5) AS p_value, s['alert'] AS alert
FROM (SELECT *, surge(n, total, topics) OVER (PARTITION BY topic ORDER BY week) AS s FROM weekly)
WHERE s['p_value'] IS NOT NULL ORDER BY s['alert'] DESC, s['p_value'] LIMIT 8;
