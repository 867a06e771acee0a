-- name: audit_record
insert into audit_event (customer_id, account_id, action, subject, detail)
values (%(customer_id)s, %(account_id)s, %(action)s, %(subject)s, %(detail)s)

-- name: audit_of_subject
select audit_event_id, customer_id, account_id, at, action, subject, detail from audit_event where subject = %(subject)s order by audit_event_id
