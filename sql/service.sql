-- Service: a day's questions to customer service, each with its topic, and the article that answers it, or the products that fit.
-- Run sql/recommend.sql first, then: debut sql -f sql/service.sql --param day=2025-12-28

CREATE TABLE asked AS
SELECT question_id, customer_id, question, article_id AS wanted
FROM 'data/questions.parquet' WHERE CAST(asked_at AS DATE) = CAST($day AS DATE);
CREATE TABLE earlier AS
SELECT question_id, question, topic, article_id FROM 'data/questions.parquet' WHERE CAST(asked_at AS DATE) < CAST($day AS DATE);

-- Topics are learned from the questions that were sorted by hand before.
SELECT epoch, round(metric, 3) AS accuracy, version
FROM finetune(
  model => 'topics', objective => 'classification', method => 'head', publish => 'always', epochs => 30,
  examples => (SELECT question AS text, topic AS label FROM earlier))
ORDER BY epoch DESC LIMIT 1;
CREATE TABLE sorted AS
SELECT *, read['label'] AS topic FROM (SELECT *, classify(question, 'topics') AS read FROM asked);

-- Each question with the article that answers it, by meaning and by words; how similar they are tells whom to let check it.
SELECT question, topic, article_id, title AS answered_by, round(similarity, 2) AS fits, article_id = wanted AS is_right
FROM answer(
  questions => (SELECT * FROM sorted WHERE topic <> 'product'),
  documents => (SELECT article_id, title, title || '. ' || text AS text FROM 'data/help.parquet'))
ORDER BY similarity DESC;

-- Who looks for a product gets the three that fit best, with the probability of buying them.
SELECT question, title, price, round(similarity, 2) AS fits, round(score(customer_id, title, 'taste'), 4) AS probability
FROM answer(
  k => 3, questions => (SELECT customer_id, question FROM sorted WHERE topic = 'product'),
  documents => (SELECT title, price FROM 'data/products.parquet'), columns => 'text=title')
ORDER BY question, fits DESC;
