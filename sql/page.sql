-- Page: what people see of the recommender at http://localhost:8080, once sql/recommend.sql has trained it.
-- Run from the repository's root: debut serve --http 8080 --data . --page sql/page.sql --feedback feedback
-- Each request of the page runs this file: it makes views and settings, and nothing else.

-- The recommender. The catalogue is searched with the server's default model.
SET debut.model = 'taste';

-- The catalogue. With a column of vectors, such as sql/embed.sql makes, a search does not embed the texts.
CREATE VIEW items AS
SELECT product_id AS item_id, title AS text, price, launched_at FROM 'data/products.parquet';

-- What customers have: the page explains by it, and adds it to what training knew.
CREATE VIEW interactions AS
SELECT customer_id AS user_id, product_id AS item_id, timestamp FROM 'data/interactions.parquet' WHERE event = 'purchase';
