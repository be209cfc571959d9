-- Gaps: what customers want and the shop does not have, in words of its titles.
-- Run sql/recommend.sql first, then: debut sql -f sql/gaps.sql

CREATE TABLE gap AS SELECT * FROM gaps(model => 'taste', k => 8);

-- Two words that the same customers buy and no product combines, and the product that is nearest to the two.
SELECT rank, array_to_string(words, ' ') AS words, round(buyers, 2) AS buyers, users AS customers, round(users_by_chance, 1) AS by_chance,
       nearest_text, round(similarity, 2) AS similarity
FROM gap ORDER BY rank;

-- The purchases that speak for the first.
SELECT p.title, bought['users'] AS customers
FROM (SELECT unnest(purchases) AS bought FROM gap WHERE rank = 1)
JOIN 'data/products.parquet' AS p ON p.product_id = bought['item_id'] ORDER BY customers DESC, title;
