//! Lists of tasks: what is found, in what order, and page by page.

use serde_json::{Value, json};

use crate::ground::{Bot, Ground, end};

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_found_by_tag_and_state() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let mut ids = Vec::new();
    for number in 0..6 {
        let id = ground
            .trigger(|request| {
                request["tags"] = json!([format!("n:{number}"), format!("odd:{}", number % 2)])
            })
            .await;
        if number < 4 {
            let run = bot.claim().await;
            bot.update(&run, end(number % 2)).await;
        }
        ids.push(id);
    }
    let list = |request: Value| {
        let ground = &ground;
        async move {
            let reply = ground.ok("Tasks/ListTasks", request).await;
            let items = reply["items"].as_array().cloned().unwrap_or_default();
            let ids: Vec<String> =
                items.iter().map(|item| item["taskId"].as_str().unwrap().to_owned()).collect();
            (ids, reply.get("cursor").cloned())
        }
    };
    let of = |numbers: &[usize]| numbers.iter().map(|n| ids[*n].clone()).collect::<Vec<_>>();
    assert_eq!(list(json!({"state": "QUERY_ALL"})).await.0, of(&[5, 4, 3, 2, 1, 0]));
    assert_eq!(list(json!({})).await.0, of(&[5, 4]));
    assert_eq!(list(json!({"state": "QUERY_COMPLETED_SUCCESS"})).await.0, of(&[2, 0]));
    assert_eq!(
        list(json!({"state": "QUERY_COMPLETED_FAILURE", "tags": ["n:1|3|5"]})).await.0,
        of(&[3, 1])
    );
    let odd = json!({"state": "QUERY_ALL", "tags": ["odd:1", "pool:default"], "limit": 2});
    let (page, cursor) = list(odd.clone()).await;
    assert_eq!(page, of(&[5, 3]));
    let mut next = odd;
    next["cursor"] = cursor.unwrap();
    assert_eq!(list(next).await, (of(&[1]), None));
    let count =
        json!({"state": "QUERY_COMPLETED", "tags": ["odd:0"], "start": "2024-01-01T00:00:00Z"});
    assert_eq!(ground.ok("Tasks/CountTasks", count).await["count"], 2);
    let states = ground.ok("Tasks/ListTaskStates", json!({"taskId": [ids[0], ids[5]]})).await;
    assert_eq!(states["states"], json!(["COMPLETED", "PENDING"]));
    let batch = json!({"taskIds": [ids[5], "65aba3a3e6b99310", ids[1]]});
    let batch = ground.ok("Tasks/BatchGetResult", batch).await;
    assert_eq!(batch["results"][0]["result"]["state"], "PENDING");
    assert_eq!(batch["results"][1]["error"]["code"], 5);
    assert_eq!(batch["results"][2]["taskId"], ids[1].as_str());
    let of_bot = json!({"botId": "b1", "state": "QUERY_ALL", "sort": "QUERY_STARTED_TS"});
    let of_bot = ground.ok("Bots/ListBotTasks", of_bot).await;
    assert_eq!(of_bot["items"].as_array().unwrap().len(), 4);
    assert_eq!(of_bot["items"][0]["taskId"], ids[3].as_str());
    // The one that it runs takes a place on the page.
    bot.claim().await;
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    for _ in 0..5 {
        let request = json!({"botId": "b1", "state": "QUERY_ALL", "limit": 1, "cursor": cursor});
        let page = ground.ok("Bots/ListBotTasks", request).await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{page}");
        seen.push(items[0]["taskId"].as_str().unwrap().to_owned());
        cursor = page["cursor"].clone();
    }
    assert_eq!(seen, of(&[4, 3, 2, 1, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_between_pages_of_a_bot_repeats_nothing() {
    for sort in ["QUERY_CREATED_TS", "QUERY_STARTED_TS", "QUERY_COMPLETED_TS"] {
        let ground = Ground::new().await;
        let bot = Bot::connect(&ground, "b1").await;
        let finish = async |run: String| {
            bot.update(&run, json!({"duration": 0, "exit_code": 0})).await;
        };
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(ground.trigger(|_| {}).await);
            finish(bot.claim().await).await;
        }
        let page = async |cursor: &Value, limit: u32| {
            let request = json!({"botId": "b1", "state": "QUERY_ALL", "sort": sort, "limit": limit, "cursor": cursor});
            let page = ground.ok("Bots/ListBotTasks", request).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            let ids = items.iter().map(|item| item["taskId"].as_str().unwrap().to_owned());
            (ids.collect::<Vec<_>>(), page["cursor"].clone())
        };
        ids.push(ground.trigger(|_| {}).await);
        let running = bot.claim().await;
        let is_listed = sort != "QUERY_COMPLETED_TS";
        let (mut seen, mut cursor) = page(&Value::Null, if is_listed { 2 } else { 1 }).await;
        // The one that ran ends, and two more are over.
        finish(running).await;
        for _ in 0..2 {
            ground.trigger(|_| {}).await;
            finish(bot.claim().await).await;
        }
        while !cursor.is_null() {
            let (more, next) = page(&cursor, 1).await;
            seen.extend(more);
            cursor = next;
        }
        let newest = ids.iter().rev().skip(usize::from(!is_listed)).cloned();
        assert_eq!(seen, newest.collect::<Vec<_>>(), "{sort}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_bot_are_in_the_order_in_which_it_ran_them() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let mut ids = Vec::new();
    // The later one is the more urgent one, and runs first.
    for priority in [100, 80, 60, 40] {
        ids.push(ground.trigger(|request| request["priority"] = json!(priority)).await);
    }
    for _ in 0..3 {
        let run = bot.claim().await;
        bot.update(&run, json!({"duration": 0, "exit_code": 0})).await;
    }
    bot.claim().await;
    let list = async |sort: &str, limit: u32, more: Value| {
        let mut seen: Vec<Value> = Vec::new();
        let mut cursor = Value::Null;
        loop {
            let mut request = json!({"botId": "b1", "state": "QUERY_ALL", "sort": sort, "limit": limit, "cursor": cursor});
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let page = ground.ok("Bots/ListBotTasks", request).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            assert!(items.len() <= limit as usize, "{page}");
            seen.extend(items);
            cursor = page["cursor"].clone();
            if cursor.is_null() {
                return seen;
            }
        }
    };
    let ids_of = |items: &[Value]| {
        items.iter().map(|item| item["taskId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for limit in [1, 2, 3, 100] {
        let started = list("QUERY_STARTED_TS", limit, json!({})).await;
        assert_eq!(ids_of(&started), [&ids[0], &ids[1], &ids[2], &ids[3]].map(String::clone));
        let completed = list("QUERY_COMPLETED_TS", limit, json!({})).await;
        assert_eq!(ids_of(&completed), [&ids[1], &ids[2], &ids[3]].map(String::clone));
        let created = list("QUERY_CREATED_TS", limit, json!({})).await;
        assert_eq!(ids_of(&created), ids.iter().rev().cloned().collect::<Vec<_>>());
        let until = json!({"end": started[1]["startedTs"]});
        let early = list("QUERY_STARTED_TS", limit, until).await;
        assert!(ids_of(&early).ends_with(&[ids[3].clone()]) && !ids_of(&early).contains(&ids[0]));
    }
}
