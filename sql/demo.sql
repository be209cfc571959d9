-- New products for one customer: the statements that `debut demo` runs.
--
--     debut sql -f sql/demo.sql --param customer=59

-- The shop: its products, and what its customers did in a year.
CREATE EXTERNAL TABLE products STORED AS PARQUET LOCATION 'data/products.parquet';

CREATE EXTERNAL TABLE interactions STORED AS PARQUET LOCATION 'data/interactions.parquet';

-- Embed the catalogue: each product's text becomes a vector. Similar products get similar vectors.
CREATE TABLE catalogue AS
SELECT product_id, title, category, price, launched_at,
       embed(title || '. ' || coalesce(description, '')) AS vector
FROM products;

-- The centroid of the catalogue: what all products have in common says nothing about one customer's taste.
CREATE TABLE middle AS
SELECT centroid(vector) AS center FROM catalogue;

-- The customer's taste: the weighted mean of what they bought, put in the cart and viewed, relative to the centroid.
CREATE TABLE taste AS
SELECT profile(c.vector, CASE i.event WHEN 'purchase' THEN 5.0 WHEN 'cart' THEN 2.0 ELSE 1.0 END, m.center) AS vector
FROM interactions AS i
JOIN catalogue AS c ON c.product_id = i.product_id
CROSS JOIN middle AS m
WHERE i.customer_id = $customer;

-- The new products: launched in the last two weeks, sold at most five times, never seen by this customer.
CREATE TABLE newcomers AS
WITH sales AS (
    SELECT product_id,
           count(*) FILTER (WHERE event = 'purchase') AS sold,
           bool_or(customer_id = $customer) AS known
    FROM interactions
    GROUP BY product_id
)
SELECT c.product_id, c.title, c.category, c.price, c.launched_at, c.vector, coalesce(s.sold, 0) AS sold
FROM catalogue AS c
LEFT JOIN sales AS s ON s.product_id = c.product_id
WHERE c.launched_at > (SELECT max(timestamp) FROM interactions) - INTERVAL '14 days'
  AND coalesce(s.sold, 0) <= 5
  AND NOT coalesce(s.known, false);

-- For comparison, what the customer bought last.
SELECT CAST(i.timestamp AS DATE) AS bought, p.title, p.category, p.price
FROM interactions AS i
JOIN products AS p ON p.product_id = i.product_id
WHERE i.customer_id = $customer AND i.event = 'purchase'
ORDER BY i.timestamp DESC
LIMIT 10;

-- The new products, ranked by this customer's taste.
SELECT row_number() OVER (ORDER BY inner_product(n.vector, t.vector) DESC, n.product_id) AS rank,
       n.title AS product, n.category, n.price, CAST(n.launched_at AS DATE) AS launched, n.sold,
       round(inner_product(n.vector, t.vector), 3) AS score
FROM newcomers AS n
CROSS JOIN taste AS t
WHERE t.vector IS NOT NULL
ORDER BY rank
LIMIT 10;
