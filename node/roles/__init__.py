"""The services of accounts in the market. A `provider` is encoder, attestor and hoster of one account.

    market_view, identity                    what the chain says of the market; who we are
    seal_key, seal_worker, sealer            making sealed copies, in processes of their own
    lane_protocol, lane_stream, lane_server  how the three roles talk about one lane
    encoder, attestor, hoster                what each role does
    hoster_store, hosted_feeds, opener       what a hoster keeps, shows to readers, and opens for them
    sponsor, publishing, share_source        the other side of the market: a file or folder becomes hosted
"""
