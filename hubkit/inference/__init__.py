"""Asking a model, whoever asks: through an engine in its worker.

questions.py      the same questions to one model or several
shares.py         several processes of one engine, on one node or many
smoke.py          the gate: a model must answer
engines.py        another engine, as fallback or for comparison
prompt_parity.py  is a model asked with the prompt of its training?
serving.py        a model over OpenAI's API: started, watched, stopped
"""
