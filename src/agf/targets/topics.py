"""Topics of artists: latent Dirichlet allocation (LDA) over the artist bag-of-words.

Source: Kim, Won, Serra and Liem (WWW'18), section 3.2; Blei, Ng and Jordan, *Latent Dirichlet
Allocation*, JMLR 3 (2003). Batch variational Bayes: the online variant needs far more artists to
reach the same perplexity.
"""

import numpy as np
from sklearn.decomposition import LatentDirichletAllocation

from agf.keyed_random import random_key


def fit_topics(bags, n_topics, n_iterations, seed, task):
    """Fit LDA and return the topics of each artist.

    Parameters
    ----------
    bags : scipy.sparse.csr_array or np.ndarray, shape (n_artists, n_words)
        Artist bag-of-words; every artist has a word.
    n_topics : int
        Topics, 40 in the paper.
    n_iterations : int
        Passes of batch variational Bayes over all artists.
    seed : int
        The run's seed.
    task : str
        Task letter; names the draw of the initial topics.

    Returns
    -------
    distributions : np.ndarray of float64, shape (n_artists, n_topics)
        Topic distribution of each artist; rows sum to 1.
    components : np.ndarray of float64, shape (n_topics, n_words)
        Variational parameters of the topics: pseudo-counts of words.
    perplexity : float
        Perplexity of `bags` under the fitted topics.
    """
    lda = LatentDirichletAllocation(
        n_components=n_topics,
        learning_method="batch",
        max_iter=n_iterations,
        random_state=random_key(seed, "topics", task) % 2**32,
    ).fit(bags)
    return lda.transform(bags), lda.components_, float(lda.perplexity(bags))


def rank_words(components, n_ranks):
    """List the most probable words of each topic.

    Parameters
    ----------
    components : np.ndarray, shape (n_topics, n_words)
        Pseudo-counts, as :func:`fit_topics` gives them.
    n_ranks : int
        Words to list for a topic; all where there are fewer.

    Returns
    -------
    words : np.ndarray of int, shape (n_topics, n_ranks)
        Words by falling probability, of equal ones the lower word first.
    weights : np.ndarray of float64, shape (n_topics, n_ranks)
        Their probability in the topic.
    """
    probabilities = components / components.sum(axis=1, keepdims=True)
    words = np.argsort(-probabilities, axis=1, kind="stable")[:, :n_ranks]
    return words, np.take_along_axis(probabilities, words, axis=1)
