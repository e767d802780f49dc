"""What a block means: the framework in which pallets are declared, and the state transition that runs them.

`transition` reads as the table of contents of a block. From the ground up:

    types, errors, weights, crypto, limits       annotations; what goes wrong; what work costs; hashes and signatures
    codec, codec_scalars                         SCALE, compiled from annotations
    call, origin, era, account, events, version  what is called, by whom, until when; what is told
    state, storage, trie, trie_state             values over a view, typed items, the state root, a state read from it
    header, extrinsic                            what is sealed and what is signed
    roles, pallet, offchain, genesis_fields      what a pallet declares, and what it may use
    portable, registry, metadata                 how clients read the declarations
    outer, raw_storage                           what else follows from the declarations
    construct                                    pallets composed into a runtime
    genesis, validity, transition                block 0, what may enter a block, a block
    api_declaration, metadata_v15, api           functions that clients run at a block
"""
